/** The slow, pure part of registering: certificates and signatures. */
import { equalBytes } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { verifyCertificates } from '#money/certificate.ts';
import { txidOf } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify.ts';
import { whyUnproven } from '#protocol/spentbook/index.ts';
import type { MintJob, MintResult } from './state.ts';

/** M1: valid, final (a commit certificate per input), and this output is the one named. */
export function performMintJob(job: MintJob, suite: ThresholdSuite): MintResult {
  const { transaction, certificates, index } = job.entry;
  const verified = verifyTransaction(transaction, job.known.networkId, 'certified');
  if (!verified.ok) return { kind: 'refused', what: verified.error };
  const output = verified.value.outputs[index];
  if (output === undefined || !equalBytes(output.oneTimeKey, job.key)) {
    return { kind: 'refused', what: 'otherOutput' };
  }
  const proven = verifyCertificates(job.known, suite, 'COMMIT', verified.value, certificates);
  if (!proven.ok) {
    const { entry, known } = job;
    return whyUnproven(known, entry) ?? { kind: 'refused', what: proven.error };
  }
  return { kind: 'verified', txid: txidOf(verified.value) };
}
