/** Handles combined signatures: first the randomness of a decision, then the seal that ends the generation. */
import { assert } from '#core/assert.ts';
import type { Context } from '#core/machine.ts';
import type { SealedState } from '#protocol/section/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { adoptState } from '../catch-up/adopt-state.ts';
import type {
  GenerationStage,
  PendingGeneration,
  SectionNodeConfig,
  SectionNodeState,
} from '../state.ts';

export function onSharesCombined(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  stage: GenerationStage['kind'],
  signature: Uint8Array,
  context: Context,
): NodeStep {
  const { pendingGeneration, own } = state;
  if (pendingGeneration?.generation !== generation || pendingGeneration.stage.kind !== stage)
    return nodeStep(state);
  switch (pendingGeneration.stage.kind) {
    case 'drawingRandomness': {
      assert(own !== null, 'a pending generation belongs to a section');
      const { acts } = pendingGeneration.stage;
      return nodeStep(
        { ...state, pendingGeneration: { ...pendingGeneration, stage: { kind: 'applying' } } },
        {
          kind: 'compute',
          id: { kind: 'apply', generation },
          job: { kind: 'apply', state: own.state, acts, churn: signature },
        },
      );
    }
    case 'sealing': {
      const { next } = pendingGeneration.stage;
      return adoptState(
        config,
        state,
        { state: next, signature, chain: chainOf(state, pendingGeneration) },
        'produced',
        context,
      );
    }
    case 'agreeing':
    case 'applying':
      return nodeStep(state);
  }
}

/** The link to this key; a peer that knows only older keys is sent more (`chainForPeer`). */
const chainOf = (
  state: SectionNodeState,
  pendingGeneration: PendingGeneration,
): SealedState['chain'] => {
  if (pendingGeneration.agreement !== null) return state.own?.chain ?? [];
  const link = state.activeHandover?.activationLink ?? null;
  return link === null ? [] : [link];
};
