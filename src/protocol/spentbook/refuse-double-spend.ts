/**
 * Decides what an elder answers from its record: earlier answers again, and evidence instead of a second
 * vote (SPENTBOOK-R1, SPENTBOOK-R7).
 */
import { matches } from '#address/prefix.ts';
import { assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { sectionKeyHash } from '#money/spend-certificate.ts';
import { decodeTransaction, inputAt, txidOf } from '#money/transaction.ts';
import { problemOfRecovery } from './allow-recovery.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import { recoverBytes, signReport } from './signed-report.ts';
import { signPrepareVote } from './signed-vote.ts';
import type {
  InheritedSlot,
  SignedSpend,
  SlotDecision,
  SlotRow,
  SpentbookConfig,
} from './state.ts';

/** SPENTBOOK-R3: a RECOVER raises the promise by at most this, so that no request uses up all ballots. */
export const maxBallotJump = 65_536;

/** The spend that a request is about. */
interface RequestedSpend {
  readonly txid: Uint8Array;
  readonly keyImage: Uint8Array;
}

type SpendRequest = Exclude<SpentbookRequest, { readonly kind: 'prove' }>;

/**
 * Cases that need no job: the wrong key, a sealed key, a decision, promises and earlier answers; undefined if
 * a job must verify first. The same question is asked again in the step that persists.
 */
export function answerWithoutJob(
  config: SpentbookConfig,
  row: SlotRow,
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
  const decided = decisionOf(config, row, slot);
  if (decided !== undefined) return { kind: 'spent', request, ...decided }; // SPENTBOOK-R7
  if (config.sealed) return { kind: 'sealed', request, key, epoch }; // SPENTBOOK-R6
  const decoded = decodeTransaction(message.transaction);
  if (!decoded.ok) return { kind: 'malformed', request, what: decoded.error };
  const transaction = decoded.value;
  const input = inputAt(transaction, slot);
  if (input === undefined) return { kind: 'malformed', request, what: 'otherSlot' };
  const spend = { txid: txidOf(transaction), keyImage: input.keyImage };
  const bound = boundAnswer(config, message, spend);
  if (bound !== undefined) return bound;
  switch (message.kind) {
    case 'prepare':
      return answerPrepare(config, row, message, spend);
    case 'commit': {
      const own = message.prepared[transaction.inputs.indexOf(input)];
      return own === undefined
        ? { kind: 'malformed', request, what: 'badCertificate' }
        : answerCommit(row, message, own.ballot, spend);
    }
    case 'recover':
      return answerRecover(config, row, message, spend);
    default:
      return assertNever(message);
  }
}

/** SPENTBOOK-R6: a bound slot is for one transaction; there is nothing to recover in it. */
function boundAnswer(
  config: SpentbookConfig,
  { kind, request, slot }: SpendRequest,
  { txid }: RequestedSpend,
): SpentbookAnswer | undefined {
  const inherited = inheritedAt(config, slot);
  const last = inherited?.inclusions.at(-1);
  if (inherited === undefined || last === undefined) return undefined;
  if (kind !== 'recover' && equalBytes(inherited.txid, txid)) return undefined;
  const { transaction } = inherited;
  return { kind: 'bound', request, epoch: last.epoch, inclusion: last.path, transaction };
}

/** SPENTBOOK-R1: one vote per ballot, and nothing below the promise. The same txid always gets the same share. */
function answerPrepare(
  config: SpentbookConfig,
  { promised, vote, bundle }: SlotRow,
  { request, ballot }: SpentbookRequest & { readonly kind: 'prepare' },
  { txid }: RequestedSpend,
): SpentbookAnswer | undefined {
  if (ballot < promised) return { kind: 'promised', request, ballot: promised };
  if (vote?.ballot === ballot) {
    return equalBytes(vote.txid, txid)
      ? { kind: 'prepared', request, ballot, share: vote.share }
      : conflictAnswer(config, request, vote);
  }
  // Five elders voted for the bundle at this ballot, so this elder votes for no other.
  return bundle?.ballot === ballot && !equalBytes(bundle.txid, txid)
    ? conflictAnswer(config, request, bundle)
    : undefined;
}

/** SPENTBOOK-R2: whatever its vote, but nothing below the promise. */
function answerCommit(
  { promised, bundle }: SlotRow,
  { request }: SpendRequest,
  ballot: number,
  { txid }: RequestedSpend,
): SpentbookAnswer | undefined {
  if (bundle?.ballot === ballot && equalBytes(bundle.txid, txid)) {
    return { kind: 'committed', request, ballot, share: bundle.share };
  }
  return ballot < promised ? { kind: 'promised', request, ballot: promised } : undefined;
}

/** SPENTBOOK-R3: repeats the report only while it is still what the row contains. */
function answerRecover(
  config: SpentbookConfig,
  row: SlotRow,
  { request, ballot }: SpentbookRequest & { readonly kind: 'recover' },
  { keyImage }: RequestedSpend,
): SpentbookAnswer | undefined {
  const { promised, bundle } = row;
  const isRepeat = ballot === promised && (bundle === null || bundle.ballot < ballot);
  if (isRepeat) return reportAnswer(config, row, request, keyImage);
  return ballot <= promised || ballot > promised + maxBallotJump
    ? { kind: 'promised', request, ballot: promised }
    : undefined;
}

/** @param row must be on disk. */
export function reportAnswer(
  config: SpentbookConfig,
  row: SlotRow,
  request: Uint8Array,
  keyImage: Uint8Array,
): SpentbookAnswer {
  const { vote, bundle } = row;
  return {
    kind: 'report',
    request,
    report: signReport(config, keyImage, row),
    bundle: bundle && { transaction: bundle.transaction, prepared: bundle.prepared },
    vote: vote && { signed: signPrepareVote(config, vote), transaction: vote.transaction },
  };
}

/**
 * SPENTBOOK-R3: what is wrong with a request for recovery, whatever the row contains: one check before the
 * job suffices.
 */
export function problemOfRequest(
  config: SpentbookConfig,
  message: SpentbookRequest,
): string | undefined {
  if (message.kind === 'commit' || message.kind === 'prove') return undefined;
  const { ballot } = message;
  if (message.kind === 'prepare' && (ballot === 0) !== (message.recovery === null)) {
    return ballot === 0 ? 'recoveryAtFirstBallot' : 'noRecovery';
  }
  const decoded = decodeTransaction(message.transaction);
  const input = decoded.ok ? inputAt(decoded.value, message.slot) : undefined;
  if (!decoded.ok || input === undefined) return 'otherSlot';
  const statement = { keyImage: input.keyImage, ballot, txid: txidOf(decoded.value) };
  if (message.kind === 'prepare') {
    return message.recovery === null
      ? undefined
      : (problemOfRecovery(config, statement, message.recovery) ?? undefined);
  }
  const bytes = recoverBytes(config.section, statement);
  const isOwner = config.identity.verify(decoded.value.recoveryKey, bytes, message.signature);
  return isOwner ? undefined : 'badSignature';
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
  row: SlotRow,
  slot: Uint8Array,
): Pick<SlotDecision, 'transaction' | 'certificate'> | undefined {
  const decision = row.decision ?? inheritedAt(config, slot);
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
