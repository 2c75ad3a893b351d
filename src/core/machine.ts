/**
 * The one shape every protocol takes: a pure step from (state, event) to (state, effects).
 *
 * A machine never reads a clock, draws randomness, opens a socket, or awaits. Time and entropy
 * arrive in {@link Context}; everything it wants done in the world leaves as an {@link Effect}.
 * The same machine therefore runs under `runtime/driver.ts` in production and under
 * `tests/sim/world.ts` in the simulator, and a recorded list of events replays exactly.
 */

export type NodeId = string;

/** The types one protocol is made of, named once and passed around as a bundle. */
export interface Protocol {
  readonly input: unknown;
  readonly message: unknown;
  readonly fact: unknown;
  readonly output: unknown;
  readonly fault: { readonly kind: string; readonly culprit: NodeId };
  readonly timer: string;
  /** Slow pure work (pairings, proofs): asked for by `compute`, answered by `computed`. */
  readonly job: unknown;
  readonly result: unknown;
}

/** What the outside world supplies with every step. */
export interface Context {
  /** Milliseconds since the Unix epoch when the event was taken from the queue. */
  readonly now: number;
  /** 32 fresh bytes for this step alone; expand them with a labelled KDF, never reuse them. */
  readonly entropy: Uint8Array;
}

/** Everything that can happen to a machine. */
export type Event<P extends Protocol> =
  | { readonly kind: 'input'; readonly input: P['input'] }
  | { readonly kind: 'received'; readonly from: NodeId; readonly message: P['message'] }
  | { readonly kind: 'timerFired'; readonly timer: P['timer'] }
  | { readonly kind: 'computed'; readonly id: string; readonly result: P['result'] };

/**
 * Everything a machine can ask for. The driver performs effects in order and finishes each
 * `persist` before it starts the next effect, so a fact is on disk before any message that
 * depends on it is on the wire. A `compute` is started, not awaited: its answer is an event, and
 * a crash loses it, so `start` must ask again for whatever it still needs.
 */
export type Effect<P extends Protocol> =
  | { readonly kind: 'persist'; readonly fact: P['fact'] }
  | { readonly kind: 'send'; readonly to: readonly NodeId[]; readonly message: P['message'] }
  | { readonly kind: 'setTimer'; readonly timer: P['timer']; readonly afterMs: number }
  | { readonly kind: 'clearTimer'; readonly timer: P['timer'] }
  | { readonly kind: 'compute'; readonly id: string; readonly job: P['job'] }
  | { readonly kind: 'blame'; readonly fault: P['fault'] }
  | { readonly kind: 'output'; readonly output: P['output'] };

export interface Step<State, P extends Protocol> {
  readonly state: State;
  readonly effects: readonly Effect<P>[];
}

export interface Machine<Config, State, P extends Protocol> {
  /** Starts fresh when `facts` is empty, and recovers after a crash when it is not. */
  readonly start: (config: Config, facts: readonly P['fact'][], context: Context) => Step<State, P>;
  readonly step: (
    config: Config,
    state: State,
    event: Event<P>,
    context: Context,
  ) => Step<State, P>;
}

/** A step that changes nothing: late, duplicate and irrelevant events end here. */
export const stay = <State, P extends Protocol>(state: State): Step<State, P> => ({
  state,
  effects: [],
});
