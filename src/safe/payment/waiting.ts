/** Decides when a payment reports that it waits, and why; each reason once per phase. */
import type { NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { adoptOthers, patienceRounds } from './adopt-other-payment.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { paymentSectionAt } from './request-plan.ts';
import { repeatLater, sendRequests } from './send-requests.ts';
import type { PaymentConfig, PaymentState, WaitingReason } from './state.ts';

/** One more than the maximum of faulty elders: at least one is honest. */
const includesOneHonest = 3;

export function repeatRequests(config: PaymentConfig, state: PaymentState): PaymentStep {
  const next: PaymentState = { ...state, round: state.round + 1, outdatedHints: new Set() };
  // An elder that reports its key as ended is responsive: the handover only takes its time.
  const handsOver = state.outdatedHints.size >= includesOneHonest;
  const reason: WaitingReason | undefined =
    next.round >= patienceRounds && !handsOver
      ? { kind: 'tooFewElders', answered: next.answered.size }
      : undefined;
  return andThen(
    adoptOthers(next),
    // A conflict or a refusal is more specific than missing answers.
    (now) => (reason && now.reportedReason === null ? reportWaiting(now, reason) : unchanged(now)),
    (now) =>
      paymentStep(
        { ...now, answered: new Set() },
        ...sendRequests(config, now),
        repeatLater(config, now),
      ),
  );
}

export function onRefusal(state: PaymentState, from: NodeId, what: string): PaymentStep {
  const refusals = new Set(state.refusals).add(from);
  const now = { ...state, refusals };
  return refusals.size >= includesOneHonest
    ? reportWaiting(now, { kind: 'refused', what })
    : unchanged(now);
}

/** Ignores elders that are behind; reports those that are sealed or ahead. */
export function onKeyHint(
  state: PaymentState,
  address: Uint8Array,
  from: NodeId,
  answer: { readonly kind: string; readonly epoch: bigint },
): PaymentStep {
  const known = paymentSectionAt(state.sections, address)?.epoch;
  const behind = known !== undefined && answer.epoch < known;
  return behind ? unchanged(state) : reportOutdated(state, address, from);
}

export function reportOutdated(
  state: PaymentState,
  address: Uint8Array,
  elder: NodeId,
): PaymentStep {
  if (state.outdatedHints.has(elder)) return unchanged(state);
  return {
    state: { ...state, outdatedHints: new Set(state.outdatedHints).add(elder) },
    effects: [{ kind: 'output', output: { kind: 'outdated', address, elder } }],
  };
}

/** Reports once why the payment waits. */
export function reportWaiting(state: PaymentState, reason: WaitingReason): PaymentStep {
  if (state.reportedReason === reason.kind) return unchanged(state);
  return {
    state: { ...state, reportedReason: reason.kind },
    effects: [{ kind: 'output', output: { kind: 'waiting', reason } }],
  };
}
