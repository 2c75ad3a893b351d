/** The slow, pure part of a slot: curves, pairings and shares. Runs in a worker thread. */
import { assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { statementBytes, verifyCertificates, verifySource } from '#money/certificate.ts';
import { decodeTransaction, inputAt, txidOf } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify.ts';
import type { SpentbookJob, SpentbookResult } from './state.ts';

/** Total: whatever bytes a client sent, the result is a share or a reason. */
export function performSpentbookJob(job: SpentbookJob, suite: ThresholdSuite): SpentbookResult {
  switch (job.kind) {
    case 'prepare':
      return performPrepare(job, suite);
    case 'commit':
      return performCommit(job, suite);
    default:
      return assertNever(job);
  }
}

type PrepareJob = SpentbookJob & { readonly kind: 'prepare' };
type CommitJob = SpentbookJob & { readonly kind: 'commit' };

/** R1: a valid transaction that spends this slot, every input proven by its source. */
function performPrepare(job: PrepareJob, suite: ThresholdSuite): SpentbookResult {
  const verified = verifyTransaction(job.transaction, job.section.networkId, (input, index) => {
    const source = job.sources[index];
    if (source === undefined) return undefined;
    const proven = verifySource(job.section, suite, source);
    if (!proven.ok || !equalBytes(proven.value.oneTimeKey, input.oneTimeKey)) return undefined;
    return proven.value.amount;
  });
  if (!verified.ok) return { kind: 'refused', what: verified.error };
  if (job.sources.length !== verified.value.inputs.length) {
    return { kind: 'refused', what: 'sourceCount' };
  }
  const input = inputAt(verified.value, job.slot);
  if (input === undefined) return { kind: 'refused', what: 'otherSlot' };
  const txid = txidOf(verified.value);
  const statement = { keyImage: input.keyImage, ballot: job.ballot, txid };
  const share = suite.sign(job.secretShare, 'PREPARE', statementBytes(job.section, statement));
  return { kind: 'shared', ballot: job.ballot, txid, share };
}

/** R2: prepared certificates of all inputs, for this txid; each proves ≥ 3 honest checks. */
function performCommit(job: CommitJob, suite: ThresholdSuite): SpentbookResult {
  const decoded = decodeTransaction(job.transaction);
  if (!decoded.ok) return { kind: 'refused', what: decoded.error };
  const transaction = decoded.value;
  if (!equalBytes(transaction.networkId, job.section.networkId)) {
    return { kind: 'refused', what: 'wrongNetwork' };
  }
  const input = inputAt(transaction, job.slot);
  if (input === undefined) return { kind: 'refused', what: 'otherSlot' };
  if (!verifyCertificates(job.section, suite, 'PREPARE', transaction, job.prepared)) {
    return { kind: 'refused', what: 'badCertificate' };
  }
  // R4: the share belongs to the ballot of this slot's own prepared certificate.
  const ballot = job.prepared[transaction.inputs.indexOf(input)]?.ballot ?? 0;
  const txid = txidOf(transaction);
  const statement = { keyImage: input.keyImage, ballot, txid };
  const share = suite.sign(job.secretShare, 'COMMIT', statementBytes(job.section, statement));
  return { kind: 'shared', ballot, txid, share };
}
