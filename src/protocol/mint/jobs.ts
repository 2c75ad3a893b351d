/** The slow, pure part of registration: certificates and signatures. */
import { equalBytes } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { verifySpendCertificates } from '#money/spend-certificate.ts';
import { txidOf } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify-transaction.ts';
import { unknownEpochOf } from '#protocol/spentbook/index.ts';
import type { MintJob, MintResult } from './state.ts';

/** MINT-M1: valid, final (a commit certificate per input), and the output at `index` has this key. */
export function performMintJob(job: MintJob, suite: ThresholdSuite): MintResult {
  const { transaction, certificates, index } = job.entry;
  const verified = verifyTransaction(transaction, job.known.networkId, 'certified');
  if (!verified.ok) return { kind: 'refused', what: verified.error };
  const output = verified.value.outputs[index];
  if (output === undefined || !equalBytes(output.oneTimeKey, job.key)) {
    return { kind: 'refused', what: 'otherOutput' };
  }
  const proven = verifySpendCertificates(job.known, suite, 'COMMIT', verified.value, certificates);
  if (!proven.ok) {
    const { entry, known } = job;
    return unknownEpochOf(known, entry) ?? { kind: 'refused', what: proven.error };
  }
  return { kind: 'verified', txid: txidOf(verified.value) };
}
