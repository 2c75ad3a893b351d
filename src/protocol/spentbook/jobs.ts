/** The slow, pure part of a slot: curves, pairings and shares. Runs in a worker thread. */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  signingKeyFor,
  spendStatementBytes,
  verifySpendCertificate,
  verifySpendCertificates,
  verifyInputSource,
  type CommittedTransaction,
  type SpendCertificate,
  type SpendPhase,
  type SectionKeys,
  type InputSource,
  type SpendStatement,
} from '#money/spend-certificate.ts';
import { decodeTransaction, inputAt, slotName, txidOf } from '#money/transaction.ts';
import { verifyInputSignatures, verifyTransaction } from '#money/verify-transaction.ts';
import type { SpentbookJob, SpentbookResult } from './state.ts';

/** Total: whatever bytes a client sent, the result is a share or a reason. */
export function performSpentbookJob(job: SpentbookJob, suite: ThresholdSuite): SpentbookResult {
  switch (job.kind) {
    case 'prepare':
      return performPrepare(job, suite);
    case 'commit':
      return performCommit(job, suite);
    case 'recover': {
      const verified = verifySpend(job, suite);
      return verified.kind === 'spend' ? { kind: 'verified', txid: verified.txid } : verified;
    }
    default:
      return assertNever(job);
  }
}

type PrepareJob = SpentbookJob & { readonly kind: 'prepare' };
type CommitJob = SpentbookJob & { readonly kind: 'commit' };

type RecoverJob = SpentbookJob & { readonly kind: 'recover' };

/** SPENTBOOK-R1; what five elders have verified already is not verified again (SPENTBOOK-R3, SPENTBOOK-R6). */
function performPrepare(job: PrepareJob, suite: ThresholdSuite): SpentbookResult {
  if (job.bound !== null) return performBound(job, job.bound, suite);
  const verified = job.top === null ? verifySpend(job, suite) : verifyForced(job, job.top, suite);
  if (verified.kind !== 'spend') return verified;
  const { keyImage, txid } = verified;
  return shareOf(job, suite, 'PREPARE', { keyImage, ballot: job.ballot, txid });
}

type VerifiedSpend =
  | { readonly kind: 'spend'; readonly keyImage: Uint8Array; readonly txid: Uint8Array }
  | (SpentbookResult & { readonly kind: 'refused' | 'unproven' });

/** A valid transaction that spends this slot, with a source that proves each input. */
function verifySpend(job: PrepareJob | RecoverJob, suite: ThresholdSuite): VerifiedSpend {
  const { section, known, slot } = job;
  const decoded = decodeTransaction(job.transaction);
  if (!decoded.ok) return { kind: 'refused', what: decoded.error };
  // Cheap checks first; pairings only for requests that pass all others.
  const { inputs } = decoded.value;
  if (job.sources.length !== inputs.length) return { kind: 'refused', what: 'sourceCount' };
  const input = inputAt(decoded.value, slot);
  if (input === undefined) return { kind: 'refused', what: 'otherSlot' };
  let unproven: (SpentbookResult & { readonly kind: 'unproven' }) | undefined;
  let isForged = false;
  const verified = verifyTransaction(job.transaction, section.networkId, (each, index) => {
    const source = job.sources[index];
    if (source === undefined || !namesOutput(source, each.oneTimeKey)) return undefined;
    const proven = verifyInputSource(known, suite, source);
    if (!proven.ok) {
      if (source.kind === 'committed') unproven ??= unknownEpochOf(known, source);
      isForged ||= proven.error === 'forgedCertificate';
      return undefined;
    }
    return equalBytes(proven.value.oneTimeKey, each.oneTimeKey) ? proven.value.amount : undefined;
  });
  if (unproven !== undefined) return unproven;
  if (isForged) return { kind: 'refused', what: 'forgedCertificate' };
  if (!verified.ok) return { kind: 'refused', what: verified.error };
  return { kind: 'spend', keyImage: input.keyImage, txid: txidOf(verified.value) };
}

/**
 * SPENTBOOK-R3: three honest elders verified the sources and the price when they voted; the recoverer may have
 * neither, and the price may have changed.
 */
function verifyForced(
  { section, slot, transaction }: PrepareJob,
  top: SpendCertificate,
  suite: ThresholdSuite,
): VerifiedSpend {
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) return { kind: 'refused', what: decoded.error };
  const spend = decoded.value;
  if (!equalBytes(spend.networkId, section.networkId)) {
    return { kind: 'refused', what: 'wrongNetwork' };
  }
  const input = inputAt(spend, slot);
  if (input === undefined) return { kind: 'refused', what: 'otherSlot' };
  if (!verifyInputSignatures(spend)) return { kind: 'refused', what: 'badSignature' };
  const { keyImage } = input;
  const txid = txidOf(spend);
  // This key alone: what it certified can be checked without any other section.
  const statement = { keyImage, ballot: top.ballot, txid };
  return verifySpendCertificate(section, suite, 'PREPARE', statement, top)
    ? { kind: 'spend', keyImage, txid }
    : { kind: 'refused', what: 'forgedCertificate' };
}

/** Whether this source names the output with this key; verifies nothing. */
function namesOutput(source: InputSource, oneTimeKey: Uint8Array): boolean {
  if (source.kind === 'genesis') return true; // Compared with a known value, so it is cheap.
  const decoded = decodeTransaction(source.transaction);
  const output = decoded.ok ? decoded.value.outputs[source.index] : undefined;
  return output !== undefined && equalBytes(output.oneTimeKey, oneTimeKey);
}

/** SPENTBOOK-R6: five elders of an earlier epoch verified the transaction, so only the slot must match. */
function performBound(job: PrepareJob, bound: Uint8Array, suite: ThresholdSuite): SpentbookResult {
  const decoded = decodeTransaction(bound);
  assert(decoded.ok, 'a sealed transaction was verified');
  const input = inputAt(decoded.value, job.slot);
  assert(input !== undefined, 'a slot is bound to a transaction that spends it');
  const txid = txidOf(decoded.value);
  return shareOf(job, suite, 'PREPARE', { keyImage: input.keyImage, ballot: job.ballot, txid });
}

/** SPENTBOOK-R2: PREPARE certificates of all inputs, for this txid; each proves ≥ 3 honest checks. */
function performCommit(job: CommitJob, suite: ThresholdSuite): SpentbookResult {
  const decoded = decodeTransaction(job.transaction);
  if (!decoded.ok) return { kind: 'refused', what: decoded.error };
  const transaction = decoded.value;
  const { section, known, prepared } = job;
  if (!equalBytes(transaction.networkId, section.networkId)) {
    return { kind: 'refused', what: 'wrongNetwork' };
  }
  const input = inputAt(transaction, job.slot);
  if (input === undefined) return { kind: 'refused', what: 'otherSlot' };
  // These bytes may be shown as evidence, and the txid does not cover the signatures.
  if (!verifyInputSignatures(transaction)) return { kind: 'refused', what: 'badSignature' };
  const own = prepared[transaction.inputs.indexOf(input)];
  // SPENTBOOK-R2: once this slot can only become this transaction, other slots' epochs may have ended.
  const isForced = job.isBound || (own !== undefined && own.ballot > 0);
  const epochs = isForced ? 'anyKnownKey' : 'requireInclusion';
  const proven = verifySpendCertificates(known, suite, 'PREPARE', transaction, prepared, epochs);
  if (!proven.ok) {
    const certificates = prepared;
    const cited = { transaction: job.transaction, certificates };
    return unknownEpochOf(known, cited) ?? { kind: 'refused', what: proven.error };
  }
  // SPENTBOOK-R4, SPENTBOOK-R6: the share is for the ballot and epoch of this slot's own PREPARE certificate.
  if (own?.epoch !== section.epoch) return { kind: 'refused', what: 'otherEpoch' };
  const statement = { keyImage: input.keyImage, ballot: own.ballot, txid: txidOf(transaction) };
  return shareOf(job, suite, 'COMMIT', statement);
}

function shareOf(
  { section, secretShare }: PrepareJob | CommitJob,
  suite: ThresholdSuite,
  phase: SpendPhase,
  statement: SpendStatement,
): SpentbookResult {
  const { ballot, txid } = statement;
  const share = suite.sign(secretShare, phase, spendStatementBytes(section, statement));
  return { kind: 'shared', ballot, txid, share };
}

/** The first certificate whose key is unknown or whose inclusion proof is missing (N34). */
export function unknownEpochOf(
  known: SectionKeys,
  { transaction, certificates }: CommittedTransaction,
): (SpentbookResult & { readonly kind: 'unproven' }) | undefined {
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) return undefined;
  for (const [index, { keyImage }] of decoded.value.inputs.entries()) {
    const certificate = certificates[index];
    if (certificate === undefined) return undefined;
    const slot = slotName(keyImage);
    const { epoch, inclusion } = certificate;
    const signer = signingKeyFor(known, slot, epoch);
    const isCheckable = signer !== undefined && (signer.sealedRoot === null || inclusion !== null);
    if (!isCheckable) return { kind: 'unproven', slot, epoch };
  }
  return undefined;
}
