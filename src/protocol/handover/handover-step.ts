import type { Effect, Step } from '#core/machine.ts';
import { stepTo } from '#core/step.ts';
import type { HandoverProtocol, HandoverState } from './state.ts';

export type HandoverStep = Step<HandoverState, HandoverProtocol>;

export type HandoverEffects = readonly Effect<HandoverProtocol>[];

export const handoverStep: (state: HandoverState, ...effects: HandoverEffects) => HandoverStep =
  stepTo;
