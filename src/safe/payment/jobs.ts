/** The slow, pure part of a payment: combining shares and checking what elders claim. */
import { assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  openRegistryEntry,
  statementBytes,
  verifyCertificate,
  verifyKnown,
  type Certificate,
} from '#money/certificate.ts';
import { decodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import { signaturesHold } from '#money/verify.ts';
import type { PaymentJob, PaymentResult } from './state.ts';

/** Five of seven: two sets of five share at least one honest elder when two lie (ecash f.1). */
export const sharesRequired = 5;

export function performPaymentJob(job: PaymentJob, suite: ThresholdSuite): PaymentResult {
  switch (job.kind) {
    case 'combine':
      return combine(job, suite);
    case 'checkSpent': {
      const decoded = spending(job.transaction, job.keyImage, job.sections.networkId);
      if (decoded === undefined) return nothing;
      const txid = txidOf(decoded);
      const statement = { keyImage: job.keyImage, ballot: job.certificate.ballot, txid };
      const proven = verifyKnown(job.sections, suite, 'COMMIT', statement, job.certificate);
      if (proven.ok) return { kind: 'checked', txid };
      const unjudged = proven.error === 'unknownKey' || proven.error === 'superseded';
      return unjudged ? { kind: 'unproven' } : nothing;
    }
    case 'checkConflict': {
      // Only the coin's owner can sign a spend of it, so two liars cannot invent a conflict.
      const decoded = spending(job.transaction, job.keyImage, job.sections.networkId);
      if (decoded === undefined || !signaturesHold(decoded)) return nothing;
      const txid = txidOf(decoded);
      return equalBytes(txid, job.txid) ? { kind: 'checked', txid } : nothing;
    }
    case 'checkDuplicate': {
      // Lines that were inherited carry no paths: enough to tell a person, who can do nothing.
      const opened = openRegistryEntry(job.sections, suite, job.entry, 'ever');
      if (!opened.ok && opened.error === 'unknownKey') return { kind: 'unproven' };
      if (!opened.ok || !equalBytes(opened.value.oneTimeKey, job.oneTimeKey)) return nothing;
      return { kind: 'checked', txid: opened.value.txid };
    }
    default:
      return assertNever(job);
  }
}

const nothing: PaymentResult = { kind: 'checked', txid: null };

/** Optimistic: combine first, verify once, look for the liar only when that fails (ecash d.7). */
function combine(
  job: PaymentJob & { readonly kind: 'combine' },
  suite: ThresholdSuite,
): PaymentResult {
  const hopeful = certify(job, job.shares, suite);
  if (hopeful) return { kind: 'combined', certificate: hopeful, bad: [] };
  const message = statementBytes(job.section, job.statement);
  const isGood = ({ publicShare, share }: (typeof job.shares)[number]): boolean =>
    suite.verify(publicShare, job.phase, message, share);
  const good = job.shares.filter(isGood);
  const bad = job.shares.filter((each) => !good.includes(each)).map(({ from }) => from);
  return { kind: 'combined', certificate: certify(job, good, suite) ?? null, bad };
}

function certify(
  job: PaymentJob & { readonly kind: 'combine' },
  shares: (PaymentJob & { readonly kind: 'combine' })['shares'],
  suite: ThresholdSuite,
): Certificate | undefined {
  if (shares.length < sharesRequired) return undefined;
  const chosen = shares.slice(0, sharesRequired);
  const signature = suite.combine(chosen.map(({ index, share }) => ({ index, signature: share })));
  if (signature === undefined) return undefined;
  const { epoch } = job.section;
  const certificate = { epoch, ballot: job.statement.ballot, signature, sealed: null };
  return verifyCertificate(job.section, suite, job.phase, job.statement, certificate)
    ? certificate
    : undefined;
}

function spending(
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
