/**
 * Runs one machine in the real world: one event at a time, effects strictly in order.
 *
 * This file, `instances.ts` and `tests/sim/world.ts` interpret {@link Effect}. A property that must hold in
 * all of them belongs in the machine.
 */
import {
  timerKey,
  type Context,
  type Effect,
  type Event,
  type Machine,
  type NodeId,
  type Protocol,
  type TimerId,
} from '#core/machine.ts';

/** The ports of a machine. Adapters are in `network/` and `storage/`. */
export interface Ports<P extends Protocol> {
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly facts: {
    readonly load: () => Promise<readonly P['fact'][]>;
    /** Resolves only when the fact would survive a power cut. */
    readonly append: (fact: P['fact']) => Promise<void>;
  };
  /** Runs a slow pure function off this thread; its result comes back as `computed`. */
  readonly compute: (job: P['job']) => Promise<P['result']>;
  readonly transport: { readonly send: (to: NodeId, message: P['message']) => void };
  readonly onOutput: (output: P['output']) => void;
  readonly onFault: (fault: P['fault']) => void;
  /**
   * A fact could not be stored, a job threw, or the machine broke an invariant. The driver has stopped:
   * memory may be ahead of the disk, so only a new start from the facts continues. Called at most once, and
   * never after {@link Driver.stop}. A failure before the first step is over rejects {@link startDriver}
   * instead.
   */
  readonly onFailure: (error: unknown) => void;
}

export interface Clock {
  readonly now: () => number;
  readonly setTimer: (callback: () => void, afterMs: number) => () => void;
}

export interface Driver<P extends Protocol> {
  /** Queues an event; it is handled after everything queued before it. */
  readonly push: (event: Event<P>) => void;
  /** Resolves when every event queued so far is handled, or the driver has stopped. */
  readonly idle: () => Promise<void>;
  readonly stop: () => void;
}

export async function startDriver<Config, State, P extends Protocol>(
  machine: Machine<Config, State, P>,
  config: Config,
  ports: Ports<P>,
): Promise<Driver<P>> {
  const timers = createTimers<P['timer']>(ports.clock, (timer) =>
    push({ kind: 'timerFired', timer }),
  );
  let stopped = false;

  const perform = async (effect: Effect<P>): Promise<void> => {
    switch (effect.kind) {
      case 'persist':
        return ports.facts.append(effect.fact);
      case 'send':
        for (const to of effect.to) ports.transport.send(to, effect.message);
        return;
      case 'setTimer':
        return timers.set(effect.timer, effect.afterMs);
      case 'clearTimer':
        return timers.clear(effect.timer);
      case 'compute':
        void ports
          .compute(effect.job)
          .then((result) => push({ kind: 'computed', id: effect.id, result }), fail);
        return;
      case 'blame':
        return ports.onFault(effect.fault);
      case 'output':
        return ports.onOutput(effect.output);
    }
  };

  let tail: Promise<void> = Promise.resolve();
  const push = (event: Event<P>): void => {
    tail = tail.then(() => handle(event)).catch(fail);
  };
  const stop = (): void => {
    stopped = true;
    timers.clearAll();
  };

  let failedStart: { readonly error: unknown } | null = null;
  let isStarting = true;
  const fail = (error: unknown): void => {
    if (stopped) return;
    stop();
    if (isStarting) failedStart = { error };
    else ports.onFailure(error);
  };

  const first = machine.start(config, await ports.facts.load(), stepContext(ports));
  let state = first.state;
  // An event that arrives meanwhile waits, like any other, for the effects before it.
  tail = performAll(first.effects).catch(fail);
  await tail;
  isStarting = false;
  throwIfFailed(failedStart);

  async function handle(event: Event<P>): Promise<void> {
    if (stopped) return;
    const step = machine.step(config, state, event, stepContext(ports));
    state = step.state;
    await performAll(step.effects);
  }

  async function performAll(effects: readonly Effect<P>[]): Promise<void> {
    for (const effect of effects) {
      // A job of this step may have failed while a fact was being stored.
      if (stopped) return;
      await perform(effect);
    }
  }

  return { push, idle: () => tail, stop };
}

function throwIfFailed(failed: { readonly error: unknown } | null): void {
  if (failed !== null) throw failed.error;
}

/** Setting a timer that runs replaces it. */
export function createTimers<Timer extends TimerId>(clock: Clock, onFired: (timer: Timer) => void) {
  const running = new Map<string, () => void>();
  const clearKey = (key: string): void => {
    running.get(key)?.();
    running.delete(key);
  };
  return {
    set: (timer: Timer, afterMs: number): void => {
      const key = timerKey(timer);
      clearKey(key);
      const fire = (): void => {
        running.delete(key);
        onFired(timer);
      };
      running.set(key, clock.setTimer(fire, afterMs));
    },
    clear: (timer: Timer): void => clearKey(timerKey(timer)),
    isEmpty: (): boolean => running.size === 0,
    clearAll: () => [...running.keys()].forEach(clearKey),
  };
}

/** The time and randomness of one step. */
export const stepContext = ({
  clock,
  randomBytes,
}: Pick<Ports<Protocol>, 'clock' | 'randomBytes'>): Context => ({
  now: clock.now(),
  entropy: randomBytes(32),
});
