/** Coins with distinct proofs: transactions of every shape, without valid signatures. */
import { utf8 } from '#core/codec/bytes.ts';
import type { SpendCertificate, InputSource } from '#money/spend-certificate.ts';
import type { InclusionProof } from '#money/inclusion-proof.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import type { Coin, CoinRecord } from '#safe/wallet/index.ts';
import { networkId, seedOf } from '../money/fixtures.ts';

export interface MadeOf {
  readonly inputs?: number;
  readonly amounts?: readonly bigint[];
  /** Length of the inclusion proof of every certificate; without it, none. */
  readonly path?: number;
  /** Bytes that the txid does not cover. */
  readonly signature?: number;
}

/** Every output of one transaction as a coin of ours. */
export function coinsOf(
  name: string,
  made: MadeOf = {},
): readonly { coin: Coin; source: InputSource }[] {
  const { inputs = 1, amounts = [7n], path, signature = 1 } = made;
  const key = (what: string, i: number): Uint8Array => seedOf(`${name} ${what} ${i}`);
  const transaction: Transaction = {
    networkId,
    inputs: Array.from({ length: inputs }, (_, i) => ({
      keyImage: key('input', i),
      oneTimeKey: key('ring', i),
      amount: 1n,
    })),
    outputs: amounts.map((amount, i) => ({
      oneTimeKey: key('output', i),
      amount,
      ephemeralKey: key('ephemeral', i),
      viewTag: new Uint8Array(3),
      anchorBox: new Uint8Array(16),
      memoBox: new Uint8Array(81),
    })),
    fee: 0n,
    recoveryKey: seedOf(name),
    signatures: Array.from({ length: inputs }, () => ({
      c0: new Uint8Array(32).fill(signature),
      s: new Uint8Array(32),
    })),
  };
  const bytes = encodeTransaction(transaction);
  const txid = txidOf(transaction);
  const certificates = transaction.inputs.map(() => certificate(path));
  return transaction.outputs.map(({ oneTimeKey, amount }, index) => ({
    coin: {
      keyImage: key('image', index),
      oneTimeKey,
      amount,
      key: { kind: 'stealth', tweak: key('tweak', index) },
      txid,
      memo: utf8(name.slice(0, 64)),
    },
    source: { kind: 'committed', transaction: bytes, certificates, index },
  }));
}

/** The transaction that made a coin of this name. */
export function transactionOf(name: string): { transaction: Uint8Array; txid: Uint8Array } {
  const { coin, source } = oneCoin(name);
  if (source.kind === 'genesis' || coin.txid === null) throw new Error('a transaction made it');
  return { transaction: source.transaction, txid: coin.txid };
}

export function oneCoin(name: string, made: MadeOf = {}): { coin: Coin; source: InputSource } {
  const [only] = coinsOf(name, made);
  if (only === undefined) throw new Error('a transaction has an output');
  return only;
}

export const certificate = (path?: number, epoch = 0n): SpendCertificate => ({
  epoch,
  ballot: 0,
  signature: new Uint8Array(48).fill(1),
  inclusion: path === undefined ? null : sealedPath(path),
});

export const sealedPath = (siblings: number): InclusionProof => ({
  kind: 'decided',
  body: new Uint8Array(32).fill(2),
  index: 2 ** 32 - 2,
  count: 2 ** 32 - 1,
  siblings: Array.from({ length: siblings }, (_, i) => new Uint8Array(32).fill(i)),
});

/** The same proof with more, or fewer, certificates. */
export function withCertificates(source: InputSource, count: number): InputSource {
  if (source.kind === 'genesis') throw new Error('the first coin has no certificates');
  return { ...source, certificates: Array.from({ length: count }, () => certificate()) };
}

export const recordOf = (coin: Coin, source: InputSource | null): CoinRecord => ({
  coin,
  source,
  seenAt: 1,
  reservedBy: new Set(),
  spentBy: new Set(),
});
