/** Decides whether an elder's evidence of another spend is true, and whether it replaces this payment. */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { verifyInclusion } from '#money/inclusion-proof.ts';
import { keysForCertificates, signingKeyFor } from '#money/spend-certificate.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import type { MintAnswer } from '#protocol/mint/index.ts';
import { verifyPrepareVote, type SpentbookAnswer } from '#protocol/spentbook/index.ts';
import { adoptOthers, withVotes } from './adopt-other-payment.ts';
import { replaceAt, withCollection } from './collect-shares.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { enterNextPhase } from './phases.ts';
import { paymentSectionAt } from './request-plan.ts';
import type {
  Payment,
  PaymentConfig,
  PaymentElder,
  PaymentJobId,
  PaymentResult,
  PaymentState,
} from './state.ts';
import { reportOutdated, reportWaiting } from './waiting.ts';

type SpendEvidence = SpentbookAnswer & { readonly kind: 'spent' | 'conflict' | 'bound' };

/** PAYMENT-P4: an answer about another spend of our coin counts only once a job has verified its evidence. */
export function checkSpend(
  config: PaymentConfig,
  state: PaymentState,
  index: number,
  elder: PaymentElder,
  answer: SpendEvidence,
): PaymentStep {
  const { plan, sections } = state;
  const slot = plan.slots[index];
  assert(slot !== undefined, 'evidence is about one of our slots');
  const { name, keyImage } = slot;
  const { transaction } = answer;
  const from = toHex(elder.name);
  const checkConflict = (txid: Uint8Array): PaymentStep => {
    const known = keysForCertificates(sections, []);
    const job = { kind: 'checkConflict', sections: known, keyImage, txid, transaction } as const;
    return startCheck(state, index, from, job, answer);
  };
  switch (answer.kind) {
    case 'spent': {
      const { certificate } = answer;
      const known = keysForCertificates(sections, [certificate]);
      const job = {
        kind: 'checkSpent',
        sections: known,
        keyImage,
        transaction,
        certificate,
      } as const;
      return startCheck(state, index, from, job, answer);
    }
    case 'conflict': {
      const { vote } = answer;
      const section = paymentSectionAt(sections, name);
      const { networkId } = sections;
      const honest =
        section !== undefined &&
        equalBytes(vote.elder, elder.name) &&
        !equalBytes(vote.txid, plan.txid) &&
        verifyPrepareVote({ ...section, networkId }, config.identity, keyImage, vote);
      return honest ? checkConflict(vote.txid) : blameBadEvidence(state, from, answer);
    }
    case 'bound': {
      const decoded = decodeTransaction(transaction);
      if (!decoded.ok) return blameBadEvidence(state, from, answer);
      const txid = txidOf(decoded.value);
      const root = signingKeyFor(sections, name, answer.epoch)?.sealedRoot;
      if (root === undefined || root === null) return reportOutdated(state, name, from);
      return verifyInclusion(root, name, txid, answer.inclusion)
        ? checkConflict(txid)
        : blameBadEvidence(state, from, answer);
    }
    default:
      return assertNever(answer);
  }
}

/** Starts a check of evidence unless one for this elder and slot is already running. */
export function startCheck(
  state: PaymentState,
  index: number,
  from: NodeId,
  job: Payment['job'],
  answer: SpentbookAnswer | MintAnswer,
): PaymentStep {
  const id = { kind: 'check', evidence: answer.kind, index, turn: state.turn, from } as const;
  const key = evidenceKey(id);
  if (state.checking.has(key)) return unchanged(state);
  const checking = new Map(state.checking).set(key, answer);
  return paymentStep({ ...state, checking }, { kind: 'compute', id, job });
}

/** False evidence is blamed; true evidence ends the payment, or is the reason why it waits. */
export function onChecked(
  config: PaymentConfig,
  state: PaymentState,
  id: PaymentJobId & { readonly kind: 'check' },
  result: PaymentResult & { readonly kind: 'checked' | 'unproven' },
): PaymentStep {
  const { from, index } = id;
  const answer = state.checking.get(evidenceKey(id));
  if (answer === undefined) return unchanged(state);
  const checking = new Map(state.checking);
  checking.delete(evidenceKey(id));
  const now = { ...state, checking };
  if (result.kind === 'unproven') {
    const address = state.plan.slots[index]?.name;
    return address === undefined ? unchanged(now) : reportOutdated(now, address, from);
  }
  const { txid } = result;
  const mine = txid !== null && equalBytes(txid, state.plan.txid);
  if (txid === null || (mine && answer.kind !== 'spent'))
    return blameBadEvidence(now, from, answer);
  if (answer.kind === 'spent') return onSpent(config, now, index, txid, answer);
  if (answer.kind === 'conflict' || answer.kind === 'bound') {
    return onOtherVote(now, index, from, txid, answer);
  }
  const oneTimeKey = state.plan.transaction.outputs[index]?.oneTimeKey;
  assert(oneTimeKey !== undefined, 'a duplicate is about one of our outputs');
  return reportWaiting(now, { kind: 'duplicateKey', oneTimeKey });
}

/** PAYMENT-P8: counts the vote; the transaction goes first, or is the reason why ours waits. */
function onOtherVote(
  state: PaymentState,
  index: number,
  from: NodeId,
  txid: Uint8Array,
  { kind, transaction }: SpendEvidence,
): PaymentStep {
  const slot = state.plan.slots[index];
  assert(slot !== undefined, 'evidence is about one of our slots');
  // A slot that is bound since an earlier epoch is so at all of its elders.
  const elders = paymentSectionAt(state.sections, slot.name)?.elders ?? [];
  const voters = kind === 'bound' ? elders.map(({ name }) => toHex(name)) : [from];
  const counted = withVotes(state, index, voters, { txid, transaction });
  return andThen(adoptOthers(counted), (now) =>
    now.round < now.holdsBackUntil
      ? unchanged(now)
      : reportWaiting(now, { kind: 'conflict', txid, transaction }),
  );
}

/** A verified commit certificate for one of our slots is final, whichever node sent it (PAYMENT-P5). */
function onSpent(
  config: PaymentConfig,
  state: PaymentState,
  index: number,
  txid: Uint8Array,
  answer: SpentbookAnswer & { readonly kind: 'spent' },
): PaymentStep {
  const { certificate, transaction } = answer;
  const { plan } = state;
  const keyImage = plan.slots[index]?.keyImage;
  assert(keyImage !== undefined, 'evidence is about one of our slots');
  if (!equalBytes(txid, plan.txid)) {
    const by = { txid, transaction, keyImage, certificate };
    return {
      state: { ...state, phase: { kind: 'replaced', by } },
      effects: [
        { kind: 'persist', fact: { kind: 'replaced', by } },
        { kind: 'output', output: { kind: 'replaced', by } },
        { kind: 'clearTimer', timer: 'repeat' },
      ],
    };
  }
  if (state.committed[index] !== null) return unchanged(state);
  const committed = replaceAt(state.committed, index, certificate);
  const { phase } = state;
  const settled =
    phase.kind === 'committing'
      ? withCollection(phase, index, { certificate, collector: null })
      : phase;
  const fact = { kind: 'committed', index, certificate } as const;
  return andThen(
    paymentStep({ ...state, committed, phase: settled }, { kind: 'persist', fact }),
    (now) => enterNextPhase(config, now),
  );
}

const evidenceKey = ({
  evidence,
  index,
  from,
}: PaymentJobId & { readonly kind: 'check' }): string => `${evidence}|${index}|${from}`;

export const blameBadEvidence = (
  state: PaymentState,
  culprit: NodeId,
  answer: SpentbookAnswer | MintAnswer,
): PaymentStep => ({
  state,
  effects: [{ kind: 'blame', fault: { kind: 'badEvidence', culprit, answer } }],
});
