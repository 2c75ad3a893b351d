import type { Effect, Step } from '#core/machine.ts';
import { stepTo } from '#core/step.ts';
import type { SectionNode, SectionNodeState } from './state.ts';

export type NodeStep = Step<SectionNodeState, SectionNode>;
export type NodeEffect = Effect<SectionNode>;

export const nodeStep: (state: SectionNodeState, ...effects: readonly NodeEffect[]) => NodeStep =
  stepTo;
