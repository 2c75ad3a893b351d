/** A step under construction: functions take the state, say what follows, and are joined in order. */
import type { Effect, Step } from '#core/machine.ts';
import type { SectionNode, SectionNodeState } from './state.ts';

export type Flow = Step<SectionNodeState, SectionNode>;
export type NodeEffect = Effect<SectionNode>;

export const flow = (state: SectionNodeState, ...effects: readonly NodeEffect[]): Flow => ({
  state,
  effects,
});

/** First `before`, then what `next` makes of its state. */
export function after(before: Flow, next: (state: SectionNodeState) => Flow): Flow {
  const then = next(before.state);
  if (before.effects.length === 0) return then;
  return { state: then.state, effects: [...before.effects, ...then.effects] };
}

/** One after the other. */
export function inOrder(
  state: SectionNodeState,
  ...parts: readonly ((state: SectionNodeState) => Flow)[]
): Flow {
  return parts.reduce(after, flow(state));
}

/** The same for every item, in order. */
export function forEach<T>(
  state: SectionNodeState,
  items: Iterable<T>,
  each: (state: SectionNodeState, item: T) => Flow,
): Flow {
  let all = flow(state);
  for (const item of items) all = after(all, (now) => each(now, item));
  return all;
}
