/** What a coin keeps to show that it exists, and whether such a proof can be worth anything. */
import { equalBytes } from '#core/codec/bytes.ts';
import type { CommittedTransaction, Source } from '#money/certificate.ts';
import { decodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import type { Coin } from './coin.ts';

interface Opened {
  readonly transaction: Transaction;
  readonly txid: Uint8Array;
}

/** Sixteen coins of one transaction share its bytes: they are opened once. */
const opened = new WeakMap<Uint8Array, Opened | 'malformed'>();

function open(bytes: Uint8Array): Opened | undefined {
  let known = opened.get(bytes);
  if (known === undefined) {
    const decoded = decodeTransaction(bytes);
    known = decoded.ok ? { transaction: decoded.value, txid: txidOf(decoded.value) } : 'malformed';
    opened.set(bytes, known);
  }
  return known === 'malformed' ? undefined : known;
}

/**
 * Could elders accept this as the proof of this coin? Form only: the signatures were verified where
 * it was found. Elders refuse any other number of certificates than the transaction has inputs, so
 * a coin with such a proof would be promised to a payment that can never be made.
 */
export function provesCoin(coin: Coin, source: Source): boolean {
  if (source.kind === 'genesis') return coin.key.kind === 'genesis';
  const made = isWhole(source) ? open(source.transaction) : undefined;
  const output = made?.transaction.outputs[source.index];
  return (
    made !== undefined &&
    output !== undefined &&
    coin.txid !== null &&
    equalBytes(made.txid, coin.txid) &&
    equalBytes(output.oneTimeKey, coin.oneTimeKey) &&
    output.amount === coin.amount
  );
}

/** A transaction that decodes, with one certificate for each of its inputs. */
export function isWhole({ transaction, certificates }: CommittedTransaction): boolean {
  return open(transaction)?.transaction.inputs.length === certificates.length;
}
