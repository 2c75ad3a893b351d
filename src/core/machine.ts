/**
 * The form of every protocol: a pure step from (state, event) to (state, effects).
 *
 * A machine never reads a clock, draws randomness, opens a socket, or awaits. Time and entropy
 * arrive in {@link Context}; every action it requests is an {@link Effect}. The same machine
 * therefore runs under `runtime/driver.ts` in production and under `tests/sim/world.ts` in the
 * simulator, and a recorded list of events replays exactly.
 */

import { assert } from './assert.ts';

export type NodeId = string;

/** A union of the machine's own; it comes back as {@link Event} `timerFired`. */
export type TimerId = string | { readonly [field: string]: TimerId };

/** The same for equal timers, whatever the order of their fields. */
export const timerKey = (timer: TimerId): string =>
  typeof timer === 'string'
    ? timer
    : JSON.stringify(
        Object.entries(timer)
          .map(([field, value]) => [field, timerKey(value)])
          .sort(),
      );

/** The types of one protocol, as one bundle. */
export interface Protocol {
  readonly input: unknown;
  readonly message: unknown;
  readonly fact: unknown;
  readonly output: unknown;
  readonly fault: { readonly kind: string; readonly culprit: NodeId };
  readonly timer: TimerId;
  /** Slow pure work (pairings, proofs): started by `compute`, its result arrives as `computed`. */
  readonly job: unknown;
  /** What a job was started for; it comes back with the result. */
  readonly jobId: unknown;
  readonly result: unknown;
}

/** Inputs from the environment to every step. */
export interface Context {
  /** Milliseconds since the Unix epoch when the event was taken from the queue. */
  readonly now: number;
  /** 32 fresh bytes for this step alone; expand them with a labelled KDF, never reuse them. */
  readonly entropy: Uint8Array;
}

/** Every event a machine can receive. */
export type Event<P extends Protocol> =
  | { readonly kind: 'input'; readonly input: P['input'] }
  | { readonly kind: 'received'; readonly from: NodeId; readonly message: P['message'] }
  | { readonly kind: 'timerFired'; readonly timer: P['timer'] }
  | { readonly kind: 'computed'; readonly id: P['jobId']; readonly result: P['result'] };

/**
 * Every action a machine can request. The driver performs effects in order and finishes each
 * `persist` before it starts the next effect, so a fact is on disk before any message that
 * depends on it is sent. A `compute` is started, not awaited: its result is an event, and a crash
 * loses it, so `start` must request again everything it still needs.
 */
export type Effect<P extends Protocol> =
  | { readonly kind: 'persist'; readonly fact: P['fact'] }
  | { readonly kind: 'send'; readonly to: readonly NodeId[]; readonly message: P['message'] }
  | { readonly kind: 'setTimer'; readonly timer: P['timer']; readonly afterMs: number }
  | { readonly kind: 'clearTimer'; readonly timer: P['timer'] }
  | { readonly kind: 'compute'; readonly id: P['jobId']; readonly job: P['job'] }
  | { readonly kind: 'blame'; readonly fault: P['fault'] }
  | { readonly kind: 'output'; readonly output: P['output'] };

export interface Step<State, P extends Protocol> {
  readonly state: State;
  readonly effects: readonly Effect<P>[];
}

export interface Machine<Config, State, P extends Protocol> {
  /** Starts fresh when `facts` is empty, and recovers after a crash otherwise. */
  readonly start: (config: Config, facts: readonly P['fact'][], context: Context) => Step<State, P>;
  readonly step: (
    config: Config,
    state: State,
    event: Event<P>,
    context: Context,
  ) => Step<State, P>;
}

/** A result of these kinds: a job that returns another one than it was started for is our bug. */
export function resultOf<R extends { readonly kind: string }, K extends R['kind']>(
  result: R,
  ...kinds: readonly K[]
): Extract<R, { readonly kind: K }> {
  assert((kinds as readonly string[]).includes(result.kind), `a result is ${kinds.join(' or ')}`);
  return result as Extract<R, { readonly kind: K }>;
}
