/** The slow, pure part of a payment: combining shares and checking elders' evidence. */
import { assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { openRegistryEntry, verifyAnyEpoch } from '#money/spend-certificate.ts';
import { decodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyInputSignatures } from '#money/verify-transaction.ts';
import { performCombine } from '#protocol/section/index.ts';
import type { PaymentJob, PaymentResult } from './state.ts';

export function performPaymentJob(job: PaymentJob, suite: ThresholdSuite): PaymentResult {
  switch (job.kind) {
    case 'combine':
      return performCombine(suite, job);
    case 'checkSpent': {
      const decoded = decodeSpend(job.transaction, job.keyImage, job.sections.networkId);
      if (decoded === undefined) return nothing;
      const txid = txidOf(decoded);
      const statement = { keyImage: job.keyImage, ballot: job.certificate.ballot, txid };
      const proven = verifyAnyEpoch(job.sections, suite, 'COMMIT', statement, job.certificate);
      if (proven.ok) return { kind: 'checked', txid };
      const unjudged = proven.error === 'unknownKey' || proven.error === 'needsInclusionProof';
      return unjudged ? { kind: 'unproven' } : nothing;
    }
    case 'checkConflict': {
      // Only the coin's owner can sign a spend of it, so faulty elders cannot invent a conflict.
      const decoded = decodeSpend(job.transaction, job.keyImage, job.sections.networkId);
      if (decoded === undefined || !verifyInputSignatures(decoded)) return nothing;
      const txid = txidOf(decoded);
      return equalBytes(txid, job.txid) ? { kind: 'checked', txid } : nothing;
    }
    case 'checkDuplicate': {
      // Inherited lines carry no inclusion proofs: still enough to inform a person, who cannot act on it
      // anyway.
      const opened = openRegistryEntry(job.sections, suite, job.entry, 'anyKnownKey');
      if (!opened.ok && opened.error === 'unknownKey') return { kind: 'unproven' };
      if (!opened.ok || !equalBytes(opened.value.oneTimeKey, job.oneTimeKey)) return nothing;
      return { kind: 'checked', txid: opened.value.txid };
    }
    default:
      return assertNever(job);
  }
}

const nothing: PaymentResult = { kind: 'checked', txid: null };

function decodeSpend(
  bytes: Uint8Array,
  keyImage: Uint8Array,
  networkId: Uint8Array,
): Transaction | undefined {
  const decoded = decodeTransaction(bytes);
  if (!decoded.ok || !equalBytes(decoded.value.networkId, networkId)) return undefined;
  return decoded.value.inputs.some((input) => equalBytes(input.keyImage, keyImage))
    ? decoded.value
    : undefined;
}
