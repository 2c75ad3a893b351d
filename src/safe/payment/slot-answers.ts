/** What a payment does with an answer of an elder that keeps one of its slots. */
import { assertNever } from '#core/assert.ts';
import type { NodeId } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import { verifyInclusion } from '#money/inclusion-proof.ts';
import { signingKeyFor } from '#money/spend-certificate.ts';
import type { SpentbookAnswer } from '#protocol/spentbook/index.ts';
import { onSpendShare } from './collect-shares.ts';
import { blameBadEvidence, checkSpend } from './conflicts.ts';
import { elderAt, indexOfRequest, type PaymentStep } from './payment-step.ts';
import { enterPhase, startPhase } from './phases.ts';
import { addInclusion, requestPlanOf, sourcesMissingInclusion } from './request-plan.ts';
import type { PaymentConfig, PaymentState } from './state.ts';
import { onKeyHint, onRefusal, reportOutdated } from './waiting.ts';

export function onSlotAnswer(
  config: PaymentConfig,
  state: PaymentState,
  from: NodeId,
  answer: SpentbookAnswer,
): PaymentStep {
  const { phase, plan } = state;
  if (phase.kind === 'proving') return onProof(config, state, phase, from, answer);
  if (phase.kind !== 'preparing' && phase.kind !== 'committing') return unchanged(state);
  const index = indexOfRequest(plan, phase.kind, answer.request);
  const slot = plan.slots[index];
  if (slot === undefined) return unchanged(state); // Late: an answer of an earlier phase.
  const elder = elderAt(state, slot.name, from);
  if (elder === undefined) return unchanged(state);
  switch (answer.kind) {
    case 'prepared':
    case 'committed':
      return (answer.kind === 'prepared') === (phase.kind === 'preparing')
        ? onSpendShare(state, phase, index, elder, answer)
        : unchanged(state);
    case 'spent':
    case 'conflict':
    case 'bound':
      return checkSpend(config, state, index, elder, answer);
    case 'malformed':
      return onRefusal(state, from, answer.what);
    case 'notAllowed':
      return onRefusal(state, from, answer.rule);
    case 'sealed':
    case 'wrongKey':
      return onKeyHint(state, slot.name, from, answer);
    case 'unproven':
      return reportOutdated(state, answer.slot, from);
    case 'busy':
    case 'proof':
    case 'report':
    case 'promised':
      return unchanged(state); // The timer repeats; this payment asked for no report.
    default:
      return assertNever(answer);
  }
}

function onProof(
  config: PaymentConfig,
  state: PaymentState,
  phase: PaymentState['phase'] & { readonly kind: 'proving' },
  from: NodeId,
  answer: SpentbookAnswer,
): PaymentStep {
  if (answer.kind !== 'proof' || answer.inclusion === null) return unchanged(state);
  const { plan, sections, prepared } = state;
  const index = indexOfRequest(plan, phase.kind, answer.request);
  const missing = phase.missing[index];
  if (missing === undefined) return unchanged(state);
  const { slot, epoch, txid } = missing;
  const root = signingKeyFor(sections, slot, epoch)?.sealedRoot;
  if (elderAt(state, slot, from) === undefined || root === undefined || root === null) {
    return unchanged(state);
  }
  if (!verifyInclusion(root, slot, txid, answer.inclusion))
    return blameBadEvidence(state, from, answer);
  const sources = addInclusion(state.sources, missing, answer.inclusion);
  const left = sourcesMissingInclusion(sections, sources);
  const next = {
    ...state,
    sources,
    plan: requestPlanOf(plan.transaction, sections, left, prepared),
  };
  return startPhase(config, enterPhase(next));
}
