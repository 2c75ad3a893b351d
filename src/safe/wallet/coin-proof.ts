/** The proof of existence stored with a coin, and whether elders could accept it. */
import { equalBytes } from '#core/codec/bytes.ts';
import type { CommittedTransaction, InputSource } from '#money/spend-certificate.ts';
import { decodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import type { Coin } from './coin.ts';

interface DecodedTransaction {
  readonly transaction: Transaction;
  readonly txid: Uint8Array;
}

/** Sixteen coins of one transaction share its bytes: they are decoded once. */
const decodedTransactions = new WeakMap<Uint8Array, DecodedTransaction | 'malformed'>();

function decodeCached(bytes: Uint8Array): DecodedTransaction | undefined {
  let known = decodedTransactions.get(bytes);
  if (known === undefined) {
    const decoded = decodeTransaction(bytes);
    known = decoded.ok ? { transaction: decoded.value, txid: txidOf(decoded.value) } : 'malformed';
    decodedTransactions.set(bytes, known);
  }
  return known === 'malformed' ? undefined : known;
}

/**
 * Could elders accept this as the proof of this coin? Form only: its signatures were verified on receipt.
 * Elders require one certificate per input of the transaction, so a coin with any other proof would be
 * reserved for a payment that can never be made.
 */
export function provesCoin(coin: Coin, source: InputSource): boolean {
  if (source.kind === 'genesis') return coin.key.kind === 'genesis';
  const creation = hasAllCertificates(source) ? decodeCached(source.transaction) : undefined;
  const output = creation?.transaction.outputs[source.index];
  return (
    creation !== undefined &&
    output !== undefined &&
    coin.txid !== null &&
    equalBytes(creation.txid, coin.txid) &&
    equalBytes(output.oneTimeKey, coin.oneTimeKey) &&
    output.amount === coin.amount
  );
}

/** The transaction decodes and has one certificate per input. */
export function hasAllCertificates({ transaction, certificates }: CommittedTransaction): boolean {
  return decodeCached(transaction)?.transaction.inputs.length === certificates.length;
}
