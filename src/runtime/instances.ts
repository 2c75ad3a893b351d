/**
 * Many instances of one machine, told apart by a key: one spentbook slot, one registered output.
 *
 * An instance lives in memory only while something happens to it: its first event loads its facts,
 * its last effect lets it go. Events of one key are handled one at a time, effects strictly in
 * order, exactly as in `driver.ts`; different keys do not wait for each other. Whoever asks gets
 * the message that the machine sends back to it.
 */
import type { Context, Effect, Event, Machine, NodeId, Protocol } from '#core/machine.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { Clock } from './driver.ts';

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
  /** A disk that refuses, or an invariant that broke: the instance starts again from its facts. */
  readonly onFailure: (key: string, error: unknown) => void;
}

export type AskError =
  /** The machine has nothing to say to this message. */
  | 'noAnswer'
  /** Too much is waiting: come back later. */
  | 'busy'
  /** The disk or the machine failed; nothing that was not kept has been said. */
  | 'failed';

export interface Instances<P extends Protocol> {
  /** Hands a message to the instance of `key`; resolves with what it sends back. */
  readonly ask: (key: string, message: P['message']) => Promise<Result<P['message'], AskError>>;
  /** Hands an input to the instance of `key`; what follows from it is in its facts. */
  readonly input: (key: string, input: P['input']) => void;
  /** Instances in memory: for metrics and tests. */
  readonly size: () => number;
  /** Ends timers and answers everybody who still waits with `failed`. */
  readonly stop: () => void;
}

/** One payment touches a slot with two messages; more askers at once are repetitions or a flood. */
const maxAsksPerKey = 32;
/** Each waits for a job of some 10 ms on a core: more than this is minutes of work. */
const maxInstances = 1024;

interface Instance<State, P extends Protocol> {
  readonly key: string;
  state: State | undefined;
  readonly queue: Event<P>[];
  readonly asks: Map<NodeId, (result: Result<P['message'], AskError>) => void>;
  readonly timers: Map<P['timer'], () => void>;
  running: boolean;
  computing: number;
}

export function createInstances<Config, State, P extends Protocol>(
  machine: Machine<Config, State, P>,
  configOf: (key: string) => Config,
  ports: InstancePorts<P>,
): Instances<P> {
  const instances = new Map<string, Instance<State, P>>();
  let asked = 0;
  let stopped = false;

  const context = (): Context => ({ now: ports.clock.now(), entropy: ports.randomBytes(32) });
  const isCurrent = (instance: Instance<State, P>): boolean =>
    instances.get(instance.key) === instance;

  const push = (instance: Instance<State, P>, event: Event<P>): void => {
    if (stopped || !isCurrent(instance)) return;
    instance.queue.push(event);
    if (!instance.running) void run(instance);
  };

  async function run(instance: Instance<State, P>): Promise<void> {
    instance.running = true;
    try {
      if (instance.state === undefined) {
        const facts = await ports.facts.load(instance.key);
        const first = machine.start(configOf(instance.key), facts, context());
        instance.state = first.state;
        for (const effect of first.effects) await perform(instance, effect);
      }
      for (let event = instance.queue.shift(); event; event = instance.queue.shift()) {
        if (!isCurrent(instance)) return;
        const config = configOf(instance.key);
        const step = machine.step(config, instance.state, event, context());
        instance.state = step.state;
        for (const effect of step.effects) await perform(instance, effect);
      }
      instance.running = false;
      rest(instance);
    } catch (error) {
      // What is in memory may be ahead of the disk: forget it, the facts are the truth.
      ports.onFailure(instance.key, error);
      drop(instance, 'failed');
    }
  }

  const perform = async (instance: Instance<State, P>, effect: Effect<P>): Promise<void> => {
    switch (effect.kind) {
      case 'persist':
        return ports.facts.append(instance.key, effect.fact);
      case 'send':
        for (const to of effect.to) {
          instance.asks.get(to)?.(ok(effect.message));
          instance.asks.delete(to);
        }
        return;
      case 'setTimer': {
        const { timer } = effect;
        instance.timers.get(timer)?.();
        const fire = (): void => {
          instance.timers.delete(timer);
          push(instance, { kind: 'timerFired', timer });
        };
        instance.timers.set(timer, ports.clock.setTimer(fire, effect.afterMs));
        return;
      }
      case 'clearTimer':
        instance.timers.get(effect.timer)?.();
        instance.timers.delete(effect.timer);
        return;
      case 'compute': {
        const { id, job } = effect;
        instance.computing += 1;
        ports.compute(job).then(
          (result) => {
            instance.computing -= 1;
            push(instance, { kind: 'computed', id, result });
          },
          (error: unknown) => {
            if (!isCurrent(instance)) return;
            ports.onFailure(instance.key, error);
            drop(instance, 'failed');
          },
        );
        return;
      }
      case 'blame':
        return ports.onFault(instance.key, effect.fault);
      case 'output':
        return ports.onOutput(instance.key, effect.output);
    }
  };

  /** Nothing queued and nothing computing: whoever still waits will not be answered. */
  const rest = (instance: Instance<State, P>): void => {
    if (instance.computing > 0 || instance.queue.length > 0) return;
    if (instance.timers.size === 0) drop(instance, 'noAnswer');
    else settleAll(instance, 'noAnswer');
  };

  const settleAll = (instance: Instance<State, P>, error: AskError): void => {
    for (const settle of instance.asks.values()) settle(err(error));
    instance.asks.clear();
  };

  const drop = (instance: Instance<State, P>, error: AskError): void => {
    if (isCurrent(instance)) instances.delete(instance.key);
    for (const cancel of instance.timers.values()) cancel();
    settleAll(instance, error);
  };

  const awake = (key: string): Instance<State, P> => {
    const present = instances.get(key);
    if (present !== undefined) return present;
    const instance: Instance<State, P> = {
      key,
      state: undefined,
      queue: [],
      asks: new Map(),
      timers: new Map(),
      running: false,
      computing: 0,
    };
    instances.set(key, instance);
    return instance;
  };

  return {
    // Our own machines' outputs lead here: as many as there are answers, so no bound of its own.
    input: (key, input) => push(awake(key), { kind: 'input', input }),
    ask: (key, message) => {
      const crowded = !instances.has(key) && instances.size >= maxInstances;
      if (stopped || crowded) return Promise.resolve(err('busy'));
      const instance = awake(key);
      if (instance.asks.size >= maxAsksPerKey) return Promise.resolve(err('busy'));
      const { asks } = instance;
      const from = `asker-${++asked}`;
      const answer = new Promise<Result<P['message'], AskError>>((settle) =>
        asks.set(from, settle),
      );
      push(instance, { kind: 'received', from, message });
      return answer;
    },
    size: () => instances.size,
    stop: () => {
      stopped = true;
      for (const instance of [...instances.values()]) drop(instance, 'failed');
    },
  };
}
