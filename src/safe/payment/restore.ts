/** The state of a payment after a start: its bundle, its facts, and the certificates that are still valid. */
import { assert } from '#core/assert.ts';
import type { SpendCertificate } from '#money/spend-certificate.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { withAdoptions } from './adopt-other-payment.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { allOrNone, enterPhase } from './phases.ts';
import {
  isCommitCertificateValid,
  isPrepareCertificateValid,
  requestPlanOf,
  sourcesMissingInclusion,
} from './request-plan.ts';
import type { PaymentConfig, PaymentFact, PaymentState } from './state.ts';

/** The state from the bundle and the facts; requests in flight are sent again. */
export function restorePayment(config: PaymentConfig, facts: readonly PaymentFact[]): PaymentState {
  const { bundle, sections } = config;
  const decoded = decodeTransaction(bundle.transaction);
  assert(decoded.ok, 'a payment bundle holds a transaction');
  const transaction = decoded.value;
  const prepared: (SpendCertificate | null)[] = transaction.inputs.map(
    (_, i) => bundle.prepared?.[i] ?? null,
  );
  const committed: (SpendCertificate | null)[] = transaction.inputs.map(
    (_, i) => bundle.certificates?.[i] ?? null,
  );
  let ended: PaymentState['phase'] | undefined;
  for (const fact of facts) {
    // The transaction determines the number of inputs, whatever the store contains.
    if ('index' in fact && fact.index >= transaction.inputs.length) continue;
    if (fact.kind === 'prepared') prepared[fact.index] = fact.certificate;
    else if (fact.kind === 'committed') committed[fact.index] = fact.certificate;
    else if (fact.kind === 'replaced') ended = { kind: 'replaced', by: fact.by };
    else if (fact.kind === 'registered')
      ended = { kind: 'registered', certificates: allOrNone(committed) ?? [] };
  }
  const missing = sourcesMissingInclusion(sections, bundle.sources);
  const fresh: PaymentState = {
    plan: requestPlanOf(transaction, sections, missing, prepared),
    sections,
    turn: 0,
    phase: { kind: 'proving', missing: [] },
    sources: bundle.sources,
    prepared,
    committed,
    round: 0,
    answered: new Set(),
    votes: transaction.inputs.map(() => new Map()),
    others: new Map(),
    adopted: new Set(),
    holdsBackUntil: 0,
    refusals: new Set(),
    checking: new Map(),
    outdatedHints: new Set(),
    reportedReason: null,
  };
  return ended === undefined
    ? enterPhase(dropInvalidCertificates(withAdoptions(fresh, facts)))
    : { ...fresh, phase: ended };
}

/**
 * N34, PAYMENT-P7: drops certificates that expired with their epoch; the new one signs the same bytes again,
 * from its first ballot.
 */
export function dropInvalidCertificates(state: PaymentState): PaymentState {
  const { plan, sections, prepared, committed } = state;
  const kept = (
    list: readonly (SpendCertificate | null)[],
    holds: (slot: Uint8Array, certificate: SpendCertificate) => boolean,
  ): readonly (SpendCertificate | null)[] =>
    list.map((certificate, i) => {
      const slot = plan.slots[i]?.name;
      return slot !== undefined && certificate !== null && holds(slot, certificate)
        ? certificate
        : null;
    });
  const valid = kept(prepared, (slot, each) => isPrepareCertificateValid(sections, slot, each));
  const missing = sourcesMissingInclusion(sections, state.sources);
  return {
    ...state,
    plan: requestPlanOf(plan.transaction, sections, missing, valid),
    prepared: valid,
    committed: kept(committed, (slot, each) =>
      isCommitCertificateValid(sections, slot, plan.txid, each),
    ),
  };
}

/** Repeated after a start, because the shell may have stopped before it received them. */
export function repeatFinalOutputs(state: PaymentState): PaymentStep {
  const { phase } = state;
  const end = { kind: 'clearTimer', timer: 'repeat' } as const;
  if (phase.kind === 'replaced') {
    return paymentStep(state, { kind: 'output', output: { kind: 'replaced', by: phase.by } }, end);
  }
  assert(phase.kind === 'registered', 'a payment ends registered or replaced');
  const { certificates } = phase;
  return paymentStep(
    state,
    { kind: 'output', output: { kind: 'final', certificates } },
    { kind: 'output', output: { kind: 'registered', certificates } },
    end,
  );
}
