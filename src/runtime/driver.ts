/**
 * Runs one machine in the real world: one event at a time, effects strictly in order.
 *
 * This file and `tests/sim/world.ts` are the only two interpreters of {@link Effect}. Anything
 * that must be true of both belongs in the machine, not here.
 */
import type { Context, Effect, Event, Machine, NodeId, Protocol } from '#core/machine.ts';

/** The world, as seen from a machine. Adapters live in `network/` and `storage/`. */
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
}

export interface Clock {
  readonly now: () => number;
  readonly setTimer: (callback: () => void, afterMs: number) => () => void;
}

export interface Driver<P extends Protocol> {
  /** Queues an event; it is handled after everything queued before it. */
  readonly push: (event: Event<P>) => void;
  /** Resolves when the queue is empty; rejects if a machine broke an invariant. */
  readonly idle: () => Promise<void>;
  readonly stop: () => void;
}

export async function startDriver<Config, State, P extends Protocol>(
  machine: Machine<Config, State, P>,
  config: Config,
  ports: Ports<P>,
): Promise<Driver<P>> {
  const timers = new Map<P['timer'], () => void>();
  let stopped = false;

  const context = (): Context => ({ now: ports.clock.now(), entropy: ports.randomBytes(32) });

  const perform = async (effect: Effect<P>): Promise<void> => {
    switch (effect.kind) {
      case 'persist':
        return ports.facts.append(effect.fact);
      case 'send':
        for (const to of effect.to) ports.transport.send(to, effect.message);
        return;
      case 'setTimer': {
        const { timer } = effect;
        timers.get(timer)?.();
        const fire = (): void => push({ kind: 'timerFired', timer });
        timers.set(timer, ports.clock.setTimer(fire, effect.afterMs));
        return;
      }
      case 'clearTimer':
        timers.get(effect.timer)?.();
        timers.delete(effect.timer);
        return;
      case 'compute':
        void ports.compute(effect.job).then(
          (result) => push({ kind: 'computed', id: effect.id, result }),
          // A job is a total function: a throw is our bug, and the driver's owner must hear of it.
          (error: unknown) => fail(error),
        );
        return;
      case 'blame':
        return ports.onFault(effect.fault);
      case 'output':
        return ports.onOutput(effect.output);
    }
  };

  let tail: Promise<void> = Promise.resolve();
  const push = (event: Event<P>): void => {
    tail = tail.then(() => handle(event));
    tail.catch(() => undefined);
  };
  const fail = (error: unknown): void => {
    tail = tail.then(() => Promise.reject(error));
    tail.catch(() => undefined);
  };

  const first = machine.start(config, await ports.facts.load(), context());
  let state = first.state;
  for (const effect of first.effects) await perform(effect);

  async function handle(event: Event<P>): Promise<void> {
    if (stopped) return;
    const step = machine.step(config, state, event, context());
    state = step.state;
    for (const effect of step.effects) await perform(effect);
  }

  return {
    push,
    idle: () => tail,
    stop: () => {
      stopped = true;
      for (const cancel of timers.values()) cancel();
    },
  };
}
