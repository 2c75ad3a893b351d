/** A final payment as text: the other form of delivery (bech32m `safereceipt1…`). */
import { Reader, Writer, equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { decodeBech32m, encodeBech32m } from '#crypto/bech32m.ts';
import {
  decodeCommitted,
  encodeCommitted,
  maxCommittedBytes,
  type CommittedTransaction,
} from '#money/spend-certificate.ts';
import { NETWORK_PREFIX_BYTES } from '#money/wallet-address.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { hasAllCertificates } from './coin-proof.ts';

const textPrefix = 'safereceipt';
const receiptVersion = 1;
/** Version and network, then the longest final transaction. */
export const maxReceiptBytes = 1 + NETWORK_PREFIX_BYTES + maxCommittedBytes;

export type ReceiptError = 'mistyped' | 'wrongVersion' | 'wrongNetwork' | 'malformed';

export const encodeReceipt = (networkId: Uint8Array, committed: CommittedTransaction): Uint8Array =>
  encodeCommitted(
    new Writer()
      .u8(receiptVersion)
      .fixed(networkId.slice(0, NETWORK_PREFIX_BYTES), NETWORK_PREFIX_BYTES),
    committed,
  ).finish();

/** The text of a stored receipt (`PaymentRecord.receipt`). */
export const receiptBytesToText = (receipt: Uint8Array): string =>
  encodeBech32m(textPrefix, receipt);

/** Checks form and network only; `verifyCommitted` verifies the payment. */
export function parseReceiptText(
  networkId: Uint8Array,
  text: string,
): Result<CommittedTransaction, ReceiptError> {
  const decoded = decodeBech32m(textPrefix, text);
  return decoded.ok ? decodeReceipt(networkId, decoded.value) : decoded;
}

/** Does this stored receipt decode, with a certificate for every input? */
export function isCompleteReceipt(receipt: Uint8Array): boolean {
  const reader = new Reader(receipt.slice(1 + NETWORK_PREFIX_BYTES));
  const committed = decodeCommitted(reader);
  return (
    receipt[0] === receiptVersion &&
    committed !== undefined &&
    reader.finish() &&
    hasAllCertificates(committed)
  );
}

export function decodeReceipt(
  networkId: Uint8Array,
  bytes: Uint8Array,
): Result<CommittedTransaction, ReceiptError> {
  const reader = new Reader(bytes);
  if (reader.u8() !== receiptVersion) return err('wrongVersion');
  const network = reader.fixed(NETWORK_PREFIX_BYTES);
  const committed = decodeCommitted(reader);
  if (committed === undefined || !reader.finish()) return err('malformed');
  if (!equalBytes(network, networkId.slice(0, NETWORK_PREFIX_BYTES))) return err('wrongNetwork');
  const transaction = decodeTransaction(committed.transaction);
  if (!transaction.ok || transaction.value.inputs.length !== committed.certificates.length) {
    return err('malformed');
  }
  return equalBytes(transaction.value.networkId, networkId) ? ok(committed) : err('wrongNetwork');
}
