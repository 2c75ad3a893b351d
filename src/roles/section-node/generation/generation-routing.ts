/** Routes messages and job results of the pending generation. */
import { assertNever } from '#core/assert.ts';
import type { Context, NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import type { Agreement } from '#protocol/agreement/index.ts';
import type { CombineResult } from '#protocol/section/index.ts';
import { onEndorsement } from './proposing.ts';
import { onApplied, stepAgreement } from './generation-driver.ts';
import { onCombineFailed, onShare } from './signature-shares.ts';
import { retryDeferred } from './deferred-proposals.ts';
import { onSharesCombined } from './sealing.ts';
import { detectLostState } from '../lost-state/detect-lost-state.ts';
import type { SectionNodeResult } from '../jobs.ts';
import type { NodePayload } from '../messages.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { elderIndex } from '../recipients.ts';
import type {
  GenerationStage,
  SectionNodeConfig,
  SectionNodeFault,
  SectionNodeState,
} from '../state.ts';

/** The sender of a message. */
export interface Sender {
  readonly id: NodeId;
  /** Elder index under this node's current key, or 0. */
  readonly elder: number;
  /** Its message names this node's current key. An elder of another key is no liar: it is behind or ahead. */
  readonly isOurs: boolean;
}

type PayloadOf<Kind extends NodePayload['kind']> = Extract<NodePayload, { readonly kind: Kind }>;
type ResultOf<Kind extends SectionNodeResult['kind']> = Extract<
  SectionNodeResult,
  { readonly kind: Kind }
>;

/** A message between elders about the pending generation. */
export function onElderMessage(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sender: Sender,
  payload: PayloadOf<'agreement' | 'share' | 'endorse'>,
  context: Context,
): NodeStep {
  switch (payload.kind) {
    case 'agreement':
      return onAgreementMessage(config, state, sender, payload, context);
    case 'share': {
      const { generation, of, signature } = payload;
      const index = signerIndex(state, sender.id);
      return onShare(state, generation, of, index, signature);
    }
    case 'endorse': {
      const { id, elder, isOurs } = sender;
      if (elder === 0) return isOurs ? blame(state, 'notElder', id) : nodeStep(state);
      const { body, signature } = payload;
      const done = onEndorsement(config, state, payload.generation, elder, body, signature);
      if (done === 'malformed') return blame(state, 'malformedEndorsement', id);
      return done === 'invalidEndorsement' ? blame(state, 'invalidEndorsement', id) : done;
    }
    default:
      return assertNever(payload);
  }
}

function onAgreementMessage(
  config: SectionNodeConfig,
  state: SectionNodeState,
  { id, elder, isOurs }: Sender,
  { generation, message }: PayloadOf<'agreement'>,
  context: Context,
): NodeStep {
  // Only elders hold our statements, and each one costs a signature check.
  const mayHold = isOurs && elder > 0;
  const lostState = mayHold ? detectLostState(config, state, generation, message) : undefined;
  if (lostState !== undefined) return lostState;
  const isMine = state.pendingGeneration?.generation === generation && elder > 0;
  if (!isMine) return elder > 0 || !isOurs ? nodeStep(state) : blame(state, 'notElder', id);
  return stepAgreement(config, state, { kind: 'received', from: id, message }, context);
}

/** The sender's elder index for the pending generation, or 0. */
function signerIndex(state: SectionNodeState, from: NodeId): number {
  const { pendingGeneration, own } = state;
  const authority =
    pendingGeneration?.stage.kind === 'sealing'
      ? pendingGeneration.stage.next.authority
      : own?.state.authority;
  return authority === undefined ? 0 : elderIndex(authority, from);
}

const blame = (state: SectionNodeState, kind: PlainFault, culprit: NodeId): NodeStep =>
  nodeStep(state, { kind: 'blame', fault: { kind, culprit } });
type PlainFault = Exclude<SectionNodeFault['kind'], 'agreement' | 'dkg' | 'handover'>;

/** The shares of a stage were combined, or some were wrong. */
export const onCombineResult = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  stage: GenerationStage['kind'],
  result: CombineResult,
  context: Context,
): NodeStep =>
  result.kind === 'combined'
    ? onSharesCombined(config, state, generation, stage, result.signature, context)
    : onCombineFailed(state, generation, stage, result.wrong);

/** The decided acts were applied: seals the next state and outputs what changed. */
export const onActsApplied = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  { state: next, events }: ResultOf<'applied'>,
): NodeStep =>
  andThen(onApplied(config, state, generation, next), (now) =>
    nodeStep(now, { kind: 'output', output: { kind: 'sectionEvents', generation, events } }),
  );

/** A proposal of this generation was validated. */
export function onProposalValidated(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  id: Agreement['jobId'],
  result: Agreement['result'],
  context: Context,
): NodeStep {
  if (state.pendingGeneration?.generation !== generation) return nodeStep(state);
  const checked = stepAgreement(config, state, { kind: 'computed', id, result }, context);
  if (result.kind !== 'later') return checked;
  return andThen(checked, (now) => retryDeferred(config, now, context));
}
