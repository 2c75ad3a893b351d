/** Collects the elders' shares of each slot, and combines five into its prepare or commit certificate. */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { andThen, unchanged } from '#core/step.ts';
import {
  spendStatementBytes,
  type SpendPhase,
  type SpendStatement,
} from '#money/spend-certificate.ts';
import {
  afterFailedCombine,
  combineDue,
  createThresholdCollector,
  withShare,
  type CombineResult,
  type ThresholdCollector,
} from '#protocol/section/index.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { enterNextPhase } from './phases.ts';
import { paymentSectionAt } from './request-plan.ts';
import type {
  PaymentConfig,
  PaymentElder,
  PaymentFact,
  PaymentSection,
  PaymentState,
  ShareCollection,
} from './state.ts';

type Collecting = PaymentState['phase'] & { readonly kind: 'preparing' | 'committing' };

export function onSpendShare(
  state: PaymentState,
  phase: Collecting,
  index: number,
  elder: PaymentElder,
  { ballot, share }: { readonly ballot: number; readonly share: Uint8Array },
): PaymentStep {
  const collection = phase.collections[index];
  if (collection === undefined || collection.certificate !== null) return unchanged(state);
  const { section, statement } = statementAt(state, index);
  // SPENTBOOK-R4: an honest elder may answer late, so this is no fault.
  if (ballot !== statement.ballot) return unchanged(state);
  const { networkId } = state.sections;
  const bytes = spendStatementBytes({ networkId, ...section }, statement);
  const collector = collection.collector ?? createThresholdCollector(purposeOf(phase), bytes);
  return collect(state, phase, index, section, withShare(collector, elder.index, share));
}

/** PAYMENT-P3: combines and verifies once; single shares are checked only when that fails. */
function collect(
  state: PaymentState,
  phase: Collecting,
  index: number,
  section: PaymentSection,
  collector: ThresholdCollector,
): PaymentStep {
  const { ballot } = statementAt(state, index).statement;
  const id = { kind: 'combine', phase: phase.kind, index, ballot, turn: state.turn } as const;
  return combineDue(collector, section, id, (kept) => ({
    ...state,
    phase: withCollection(phase, index, { certificate: null, collector: kept }),
  }));
}

/** PAYMENT-P2: a certificate is on disk before its phase is left. */
export function onCombined(
  config: PaymentConfig,
  state: PaymentState,
  phase: Collecting,
  { index, ballot }: { readonly index: number; readonly ballot: number },
  result: CombineResult,
): PaymentStep {
  const collector = phase.collections[index]?.collector ?? null;
  if (collector === null) return unchanged(state);
  const { section, statement } = statementAt(state, index);
  if (ballot !== statement.ballot) return unchanged(state);
  if (result.kind === 'combineFailed') {
    const blames = section.elders.flatMap(({ index: elder, name }) => {
      const share = collector.shares.get(elder);
      if (share === undefined || !result.wrong.includes(elder)) return [];
      const evidence = { phase: purposeOf(phase), statement, share };
      const fault = { kind: 'badShare', culprit: toHex(name), ...evidence } as const;
      return [{ kind: 'blame', fault } as const];
    });
    return andThen(paymentStep(state, ...blames), (now) =>
      collect(now, phase, index, section, afterFailedCombine(collector, result.wrong)),
    );
  }
  const { signature } = result;
  const certificate = { epoch: section.epoch, ballot, signature, inclusion: null };
  const kind = phase.kind === 'preparing' ? 'prepared' : 'committed';
  const now: PaymentState = {
    ...state,
    round: 0,
    phase: withCollection(phase, index, { certificate, collector: null }),
    [kind]: replaceAt(state[kind], index, certificate),
  };
  const fact: PaymentFact = { kind, index, certificate };
  return andThen(paymentStep(now, { kind: 'persist', fact }), (s) => enterNextPhase(config, s));
}

const purposeOf = ({ kind }: Collecting): SpendPhase =>
  kind === 'preparing' ? 'PREPARE' : 'COMMIT';

/** What the elders of this slot sign. */
function statementAt(
  { plan, sections }: PaymentState,
  index: number,
): { readonly section: PaymentSection; readonly statement: SpendStatement } {
  const slot = plan.slots[index];
  const section = slot && paymentSectionAt(sections, slot.name);
  assert(slot !== undefined && section !== undefined, 'a collection belongs to a known slot');
  const { keyImage, ballot } = slot;
  return { section, statement: { keyImage, ballot, txid: plan.txid } };
}

export const withCollection = (
  phase: Collecting,
  index: number,
  collection: ShareCollection,
): Collecting => ({
  ...phase,
  collections: phase.collections.map((each, i) => (i === index ? collection : each)),
});

export const replaceAt = <T>(list: readonly T[], index: number, value: T): readonly T[] =>
  list.map((each, i) => (i === index ? value : each));
