/**
 * One payment, from the stored bundle to registered outputs: PREPARE, COMMIT, REGISTER at all elders, five
 * answers each. It has no secret, so it runs in the service worker and survives a restart.
 */
import { assert, assertNever } from '#core/assert.ts';
import { resultOf, type Machine } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { repeatAdoptions, withoutVotes } from './adopt-other-payment.ts';
import { onCombined } from './collect-shares.ts';
import { onChecked } from './conflicts.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { enterPhase, isOver, startPhase } from './phases.ts';
import { onOutputAnswer } from './register-outputs.ts';
import { keysFor } from './request-plan.ts';
import { dropInvalidCertificates, repeatFinalOutputs, restorePayment } from './restore.ts';
import { onSlotAnswer } from './slot-answers.ts';
import type {
  Payment,
  PaymentConfig,
  PaymentJobId,
  PaymentSections,
  PaymentState,
} from './state.ts';
import { repeatRequests } from './waiting.ts';

export const payment: Machine<PaymentConfig, PaymentState, Payment> = {
  start: (config, facts) => {
    const state = restorePayment(config, facts);
    if (isOver(state)) return repeatFinalOutputs(state);
    return andThen(paymentStep(state, ...repeatAdoptions(state)), (now) => startPhase(config, now));
  },

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received': {
        if (isOver(state)) return unchanged(state);
        const withSender = { ...state, answered: new Set(state.answered).add(event.from) };
        const { message } = event;
        if (message.kind === 'slotAnswer') {
          return onSlotAnswer(config, withSender, event.from, message.answer);
        }
        if (message.kind === 'outputAnswer') {
          return onOutputAnswer(config, withSender, event.from, message.answer);
        }
        return unchanged(state);
      }
      case 'computed':
        return onComputed(config, state, event.id, event.result);
      case 'timerFired':
        return isOver(state) ? unchanged(state) : repeatRequests(config, state);
      case 'input':
        if (isOver(state)) return unchanged(state);
        if (event.input.kind === 'repeat') return repeatRequests(config, state);
        return onSections(config, state, event.input.sections);
      default:
        return assertNever(event);
    }
  },
};

/** A handover: certificates of the old epoch expire, the new elders get the same bytes. */
function onSections(
  config: PaymentConfig,
  before: PaymentState,
  sections: PaymentSections,
): PaymentStep {
  const { plan, sources } = before;
  const same = keysFor(plan, before.sections, sources) === keysFor(plan, sections, sources);
  if (same) return unchanged({ ...before, sections });
  const state = enterPhase(
    dropInvalidCertificates({
      ...withoutVotes(before),
      sections,
      turn: before.turn + 1,
      checking: new Map(),
    }),
  );
  return startPhase(config, state);
}

function onComputed(
  config: PaymentConfig,
  state: PaymentState,
  id: PaymentJobId,
  result: Payment['result'],
): PaymentStep {
  if (isOver(state)) return unchanged(state);
  if (id.turn !== state.turn) return unchanged(state);
  if (id.kind === 'combine') {
    const { phase } = state;
    if (phase.kind !== id.phase) return unchanged(state);
    assert(phase.kind === 'preparing' || phase.kind === 'committing', 'shares make certificates');
    return onCombined(config, state, phase, id, resultOf(result, 'combined', 'combineFailed'));
  }
  return onChecked(config, state, id, resultOf(result, 'checked', 'unproven'));
}
