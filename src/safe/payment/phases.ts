/** Which phase a payment is in: the furthest one that its certificates allow. */
import type { Effect, NodeId } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import type { SpendCertificate } from '#money/spend-certificate.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { sourcesMissingInclusion } from './request-plan.ts';
import { repeatLater, sendRequests } from './send-requests.ts';
import type { Payment, PaymentConfig, PaymentState, ShareCollection } from './state.ts';

export const isOver = ({ phase }: PaymentState): boolean =>
  phase.kind === 'registered' || phase.kind === 'replaced';

/** Enters the furthest phase the certificates allow; within a phase the timer repeats requests. */
export function enterNextPhase(config: PaymentConfig, state: PaymentState): PaymentStep {
  const next = enterPhase(state);
  return next.phase.kind === state.phase.kind ? unchanged(state) : startPhase(config, next);
}

/** The phase that the certificates allow, from its start, with its round counter reset. */
export function enterPhase(state: PaymentState): PaymentState {
  const reset = {
    ...state,
    round: 0,
    answered: new Set<NodeId>(),
    refusals: new Set<NodeId>(),
    reportedReason: null,
  };
  const collect = (list: readonly (SpendCertificate | null)[]): readonly ShareCollection[] =>
    list.map((certificate) => ({ certificate, collector: null }));
  const certificates = allOrNone(state.committed);
  if (certificates !== undefined) {
    const acks = state.plan.transaction.outputs.map(() => new Set<NodeId>());
    return { ...reset, phase: { kind: 'registering', certificates, acks } };
  }
  const prepared = allOrNone(state.prepared);
  if (prepared !== undefined) {
    const collections = collect(state.committed);
    return { ...reset, phase: { kind: 'committing', prepared, collections } };
  }
  const missing = sourcesMissingInclusion(state.sections, state.sources);
  return missing.length > 0
    ? { ...reset, phase: { kind: 'proving', missing } }
    : {
        ...reset,
        phase: { kind: 'preparing', collections: collect(state.prepared) },
        reportedReason: state.adopted.size > 0 ? 'adopted' : null,
      };
}

/** Reports the phase just entered, and requests what it misses. */
export function startPhase(config: PaymentConfig, state: PaymentState): PaymentStep {
  const { phase } = state;
  const reached: Effect<Payment>[] = [];
  if (phase.kind === 'registering') {
    reached.push({ kind: 'output', output: { kind: 'final', certificates: phase.certificates } });
  } else if (phase.kind === 'committing') {
    reached.push({ kind: 'output', output: { kind: 'committing', prepared: phase.prepared } });
  }
  return paymentStep(state, ...reached, ...sendRequests(config, state), repeatLater(config, state));
}

export const allOrNone = <T>(parts: readonly (T | null)[]): readonly T[] | undefined => {
  const known = parts.filter((part) => part !== null);
  return known.length === parts.length ? known : undefined;
};
