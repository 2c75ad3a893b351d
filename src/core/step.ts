/**
 * The one way to compose steps. A part receives the state that the part before it left; its effects are
 * appended, so effects stay in the order of the parts and `persist` before the `send` that needs it.
 */
import type { Effect, Protocol, Step } from './machine.ts';

/** A state and what was done to reach it, in order: effects of a machine, or events of an act. */
interface Composed<State, Item> {
  readonly state: State;
  readonly effects: readonly Item[];
}

/** The step to this state, with these effects. */
export const stepTo = <State, P extends Protocol>(
  state: State,
  ...effects: readonly Effect<P>[]
): Step<State, P> => ({ state, effects });

/** A step without effects: for late, duplicate and irrelevant events. */
export const unchanged = <State>(state: State): Composed<State, never> => ({ state, effects: [] });

/** Continues `before` with each part in order. */
export function andThen<State, Item>(
  before: Composed<State, Item>,
  ...parts: readonly ((state: State) => Composed<State, Item>)[]
): Composed<State, Item> {
  return parts.reduce((done, part) => {
    const { state, effects } = part(done.state);
    if (done.effects.length === 0) return { state, effects };
    return { state, effects: [...done.effects, ...effects] };
  }, before);
}

/** Continues `before` with some fields of the state replaced, and with these effects. */
export const extend = <State extends object, Item>(
  before: Composed<State, Item>,
  change: Partial<State>,
  ...effects: readonly Item[]
): Composed<State, Item> => ({
  state: { ...before.state, ...change },
  effects: [...before.effects, ...effects],
});

/** One part for every item, in order. */
export const stepForEach = <State, Item, T>(
  state: State,
  items: Iterable<T>,
  each: (state: State, item: T) => Composed<State, Item>,
): Composed<State, Item> =>
  andThen<State, Item>(
    unchanged(state),
    ...[...items].map((item) => (now: State) => each(now, item)),
  );
