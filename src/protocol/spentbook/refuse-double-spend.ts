/**
 * Decides what an elder answers from its record: earlier answers again, and evidence instead of a second
 * vote (SPENTBOOK-R1, SPENTBOOK-R7).
 */
import { matches } from '#address/prefix.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { sectionKeyHash } from '#money/spend-certificate.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import { signPrepareVote } from './signed-vote.ts';
import type {
  InheritedSlot,
  SignedSpend,
  SlotDecision,
  SlotRecord,
  SpentbookConfig,
} from './state.ts';

/** Cases that need no job: the wrong key, a sealed key, a decision, and earlier answers. */
export function answerWithoutJob(
  config: SpentbookConfig,
  record: SlotRecord,
  message: SpentbookRequest,
): SpentbookAnswer | undefined {
  const { request, slot } = message;
  const { key, epoch, prefix } = config.section;
  if (message.kind === 'prove') return proveInclusion(config, message);
  if (!equalBytes(message.section, sectionKeyHash(key))) {
    return { kind: 'wrongKey', request, key, epoch };
  }
  if (!matches(prefix, slot)) {
    return { kind: 'notAllowed', request, rule: 'SPENTBOOK-R1: another section keeps this slot' };
  }
  const decided = decisionOf(config, record, slot);
  if (decided !== undefined) return { kind: 'spent', request, ...decided }; // SPENTBOOK-R7
  if (config.sealed) return { kind: 'sealed', request, key, epoch }; // SPENTBOOK-R6
  return answerFromRecord(config, record, message);
}

/**
 * Answers from this elder's record or an earlier epoch; undefined if a job must verify first.
 * Idempotent: the same txid always gets the same share.
 */
function answerFromRecord(
  config: SpentbookConfig,
  record: SlotRecord,
  message: SpentbookRequest & { readonly kind: 'prepare' | 'commit' },
): SpentbookAnswer | undefined {
  const { request, slot } = message;
  const inherited = inheritedAt(config, slot);
  if (record.kind === 'decided') return undefined;
  if (record.kind === 'open' && inherited === undefined) return undefined;
  const decoded = decodeTransaction(message.transaction);
  if (!decoded.ok) return { kind: 'malformed', request, what: decoded.error };
  const txid = txidOf(decoded.value);
  const last = inherited?.inclusions.at(-1);
  if (inherited !== undefined && last !== undefined && !equalBytes(inherited.txid, txid)) {
    const { transaction } = inherited;
    return { kind: 'bound', request, epoch: last.epoch, inclusion: last.path, transaction }; // SPENTBOOK-R6
  }
  if (record.kind === 'open') return undefined;
  const bundle = record.kind === 'bundled' ? record.bundle : null;

  if (message.kind === 'commit') {
    if (bundle === null) return undefined; // SPENTBOOK-R2: valid PREPARE certificates override our own vote.
    return equalBytes(bundle.txid, txid)
      ? { kind: 'committed', request, ballot: bundle.ballot, share: bundle.share }
      : conflictAnswer(config, request, bundle);
  }
  // SPENTBOOK-R1: one vote per ballot; an elder with a prepared transaction votes only for that one.
  const { vote } = record;
  if (vote !== null && equalBytes(vote.txid, txid)) {
    return { kind: 'prepared', request, ballot: vote.ballot, share: vote.share };
  }
  if (vote !== null) return conflictAnswer(config, request, vote);
  assert(bundle !== null, 'a slot without vote and bundle is open');
  return equalBytes(bundle.txid, txid) ? undefined : conflictAnswer(config, request, bundle);
}

function conflictAnswer(
  config: SpentbookConfig,
  request: Uint8Array,
  other: SignedSpend,
): SpentbookAnswer {
  const vote = signPrepareVote(config, other);
  return { kind: 'conflict', request, vote, transaction: other.transaction };
}

function decisionOf(
  config: SpentbookConfig,
  record: SlotRecord,
  slot: Uint8Array,
): Pick<SlotDecision, 'transaction' | 'certificate'> | undefined {
  const decision = record.kind === 'decided' ? record.decision : inheritedAt(config, slot);
  if (decision === undefined || !('certificate' in decision)) return undefined;
  const { transaction, certificate } = decision;
  return { transaction, certificate };
}

/** N34: the inclusion proof for one epoch, if this section or an ancestor sealed the slot then. */
function proveInclusion(
  config: SpentbookConfig,
  { request, slot, epoch }: SpentbookRequest & { readonly kind: 'prove' },
): SpentbookAnswer {
  const inherited = inheritedAt(config, slot);
  const inclusion = inherited?.inclusions.find((each) => each.epoch === epoch);
  return inherited === undefined || inclusion === undefined
    ? { kind: 'proof', request, txid: new Uint8Array(32), inclusion: null }
    : { kind: 'proof', request, txid: inherited.txid, inclusion: inclusion.path };
}

export const inheritedAt = (config: SpentbookConfig, slot: Uint8Array): InheritedSlot | undefined =>
  config.inherited.get(toHex(slot));
