/**
 * Many instances of one machine, distinguished by a key: one spentbook slot, one registered output.
 *
 * An instance is in memory only while it has work: its first event loads its facts, and it is dropped after
 * its last effect. Events of one key are handled one at a time, effects strictly in order, exactly as in
 * `driver.ts`; different keys do not wait for each other. A caller gets the message that the machine sends
 * back to it.
 */
import type { Effect, Event, Machine, NodeId, Protocol, Step } from '#core/machine.ts';
import { err, ok, type Result } from '#core/result.ts';
import { createTimers, stepContext, type Clock } from './driver.ts';

export interface InstancePorts<P extends Protocol> {
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly facts: {
    readonly load: (key: string) => Promise<readonly P['fact'][]>;
    /** Resolves only when the fact would survive a power cut; rejects when it would not. */
    readonly append: (key: string, fact: P['fact']) => Promise<void>;
  };
  readonly compute: (job: P['job']) => Promise<P['result']>;
  readonly onOutput: (key: string, output: P['output']) => void;
  readonly onFault: (key: string, fault: P['fault']) => void;
  /** The disk refused or an invariant broke: the instance is reloaded from its facts. */
  readonly onFailure: (key: string, error: unknown) => void;
}

export type InstanceError =
  /** The machine does not reply to this message. */
  | 'noAnswer'
  /** The queue is full: try again later. */
  | 'busy'
  /** The disk or the machine failed; no unstored result was sent. */
  | 'failed';

export interface Instances<P extends Protocol> {
  /** Gives a message to the instance of `key`; resolves with its reply. */
  readonly ask: (
    key: string,
    message: P['message'],
  ) => Promise<Result<P['message'], InstanceError>>;
  /** Gives an input to the instance of `key`; its outcome is in the facts. */
  readonly input: (key: string, input: P['input']) => void;
  /** Instances in memory: for metrics and tests. */
  readonly size: () => number;
  /** Ends timers and answers every pending call with `failed`. */
  readonly stop: () => void;
}

/** One payment sends a slot two messages; more calls at the same time are repetitions or a flood. */
const maxAsksPerKey = 32;
/** Each waits for a job of about 10 ms on a core: more than this is minutes of work. */
const maxInstances = 1024;

type Settle<P extends Protocol> = (result: Result<P['message'], InstanceError>) => void;

export function createInstances<Config, State, P extends Protocol>(
  machine: Machine<Config, State, P>,
  configOf: (key: string) => Config,
  ports: InstancePorts<P>,
): Instances<P> {
  const instances = new Map<string, Instance<Config, State, P>>();
  let askCount = 0;
  let stopped = false;

  const instanceFor = (key: string): Instance<Config, State, P> => {
    const present = instances.get(key);
    if (present !== undefined) return present;
    const onDropped = (): void => void instances.delete(key);
    const instance = new Instance(key, { machine, configOf, ports, onDropped });
    instances.set(key, instance);
    return instance;
  };

  return {
    // Inputs come from our own machines, at most one per reply, so they need no bound.
    input: (key, input) => {
      if (!stopped) instanceFor(key).push({ kind: 'input', input });
    },
    ask: (key, message) => {
      const isFull = !instances.has(key) && instances.size >= maxInstances;
      if (stopped || isFull) return Promise.resolve(err('busy'));
      const instance = instanceFor(key);
      if (instance.asks.size >= maxAsksPerKey) return Promise.resolve(err('busy'));
      const from = `asker-${++askCount}`;
      return new Promise((settle) => {
        instance.asks.set(from, settle);
        instance.push({ kind: 'received', from, message });
      });
    },
    size: () => instances.size,
    stop: () => {
      stopped = true;
      for (const instance of [...instances.values()]) instance.drop('failed');
    },
  };
}

interface InstanceParts<Config, State, P extends Protocol> {
  readonly machine: Machine<Config, State, P>;
  readonly configOf: (key: string) => Config;
  readonly ports: InstancePorts<P>;
  readonly onDropped: () => void;
}

/** The machine of one key, from its first event to its last effect. */
class Instance<Config, State, P extends Protocol> {
  /** Calls without a reply yet. */
  readonly asks = new Map<NodeId, Settle<P>>();
  readonly #key: string;
  readonly #parts: InstanceParts<Config, State, P>;
  readonly #queue: Event<P>[] = [];
  readonly #timers;
  #state: State | undefined;
  #isRunning = false;
  #isDropped = false;
  /** Jobs in progress. */
  #computing = 0;

  constructor(key: string, parts: InstanceParts<Config, State, P>) {
    this.#key = key;
    this.#parts = parts;
    this.#timers = createTimers<P['timer']>(parts.ports.clock, (timer) =>
      this.push({ kind: 'timerFired', timer }),
    );
  }

  push(event: Event<P>): void {
    if (this.#isDropped) return;
    this.#queue.push(event);
    if (!this.#isRunning) void this.#run();
  }

  /** Ends it: the next event of its key starts another from the facts. */
  drop(error: InstanceError): void {
    if (!this.#isDropped) this.#parts.onDropped();
    this.#isDropped = true;
    this.#timers.clearAll();
    this.#settleAll(error);
  }

  async #run(): Promise<void> {
    const { machine, configOf, ports } = this.#parts;
    this.#isRunning = true;
    try {
      if (this.#state === undefined) {
        const facts = await ports.facts.load(this.#key);
        await this.#follow(machine.start(configOf(this.#key), facts, stepContext(ports)));
      }
      for (let event = this.#queue.shift(); event; event = this.#queue.shift()) {
        if (this.#isDropped) return;
        const state = this.#state as State;
        await this.#follow(machine.step(configOf(this.#key), state, event, stepContext(ports)));
      }
      this.#isRunning = false;
      this.#settleIdle();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #follow({ state, effects }: Step<State, P>): Promise<void> {
    this.#state = state;
    for (const effect of effects) await this.#perform(effect);
  }

  async #perform(effect: Effect<P>): Promise<void> {
    const { ports } = this.#parts;
    switch (effect.kind) {
      case 'persist':
        return ports.facts.append(this.#key, effect.fact);
      case 'send':
        for (const to of effect.to) {
          this.asks.get(to)?.(ok(effect.message));
          this.asks.delete(to);
        }
        return;
      case 'setTimer':
        return this.#timers.set(effect.timer, effect.afterMs);
      case 'clearTimer':
        return this.#timers.clear(effect.timer);
      case 'compute':
        return this.#compute(effect);
      case 'blame':
        return ports.onFault(this.#key, effect.fault);
      case 'output':
        return ports.onOutput(this.#key, effect.output);
    }
  }

  #compute({ id, job }: Extract<Effect<P>, { kind: 'compute' }>): void {
    this.#computing += 1;
    this.#parts.ports.compute(job).then(
      (result) => {
        this.#computing -= 1;
        this.push({ kind: 'computed', id, result });
      },
      (error: unknown) => {
        if (!this.#isDropped) this.#fail(error);
      },
    );
  }

  /** Memory may be ahead of the disk: it is dropped, and the next event loads the facts again. */
  #fail(error: unknown): void {
    this.#parts.ports.onFailure(this.#key, error);
    this.drop('failed');
  }

  /** Queue empty and no job running: pending calls will get no reply. */
  #settleIdle(): void {
    if (this.#computing > 0 || this.#queue.length > 0) return;
    if (this.#timers.isEmpty()) this.drop('noAnswer');
    else this.#settleAll('noAnswer');
  }

  #settleAll(error: InstanceError): void {
    for (const settle of this.asks.values()) settle(err(error));
    this.asks.clear();
  }
}
