/**
 * The wallet's first layout (version 0.1), read only: CBOR, and every coin with its whole proof. The
 * program that wrote it checked less than it read, so this reads whatever it can have written.
 */
import { fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { decodeCbor, ownItems } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  literal,
  nullable,
  oneOf,
  record,
  textUpTo,
  u64,
  union,
} from '#core/codec/shape.ts';
import { sourceShape } from '#money/shapes.ts';
import { maxMemoBytes } from '#money/transaction.ts';
import { maxBundleBytes } from '../payment/index.ts';
import { maxAddressBytes, maxRecords } from './bounds.ts';
import { maxReceiptBytes } from './receipt.ts';
import type { CoinRecord, PaymentRecord, WalletState } from './state.ts';

const key32 = bytesOf(32);
const memo = bytesUpTo(maxMemoBytes);
const time = intBetween(0, Number.MAX_SAFE_INTEGER);
const txidText = (value: unknown): string | undefined => {
  const bytes = typeof value === 'string' ? fromHex(value) : undefined;
  return bytes?.ok === true && bytes.value.length === 32 ? toHex(bytes.value) : undefined;
};
const rivals = listOf(txidText, maxRecords);

const coinRecordShape = record({
  coin: record({
    keyImage: key32,
    oneTimeKey: key32,
    amount: u64,
    key: union({ genesis: record({}), stealth: record({ tweak: key32 }) }),
    txid: nullable(key32),
    memo,
  }),
  source: nullable(sourceShape),
  seenAt: time,
  reservedBy: rivals,
  spentBy: rivals,
});

/** As it was typed, with the spaces around it. */
const maxTypedAddress = 64 * 1024;

const paymentRecordShape = record({
  txid: key32,
  amount: u64,
  address: textUpTo(maxTypedAddress),
  memo,
  at: time,
  bundle: nullable(bytesUpTo(maxBundleBytes)),
  receipt: nullable(bytesUpTo(maxReceiptBytes)),
  stages: listOf(oneOf('prepared', 'final', 'registered'), 3),
});

const walletShape = record({
  version: literal(1),
  coins: listOf(coinRecordShape, maxRecords),
  payments: listOf(paymentRecordShape, maxRecords),
});

/** A CBOR map of three fields begins so; no later layout does. */
export const firstLayoutByte = 0xa3;

/** @returns undefined for anything that version 0.1 has not written. */
export function decodeFirstWallet(bytes: Uint8Array): WalletState | undefined {
  const decoded = decodeCbor(bytes, ownItems);
  const shaped = decoded.ok ? walletShape(decoded.value) : undefined;
  if (shaped === undefined) return undefined;
  const coins = shaped.coins.map((each): [string, CoinRecord] => [
    toHex(each.coin.keyImage),
    { ...each, reservedBy: new Set(each.reservedBy), spentBy: new Set(each.spentBy) },
  ]);
  const payments = shaped.payments.map((each): [string, PaymentRecord] => [
    toHex(each.txid),
    { ...each, address: shortened(each.address), stages: new Set(each.stages) },
  ]);
  return { coins: new Map(coins), payments: new Map(payments), lists: new Map() };
}

const shortened = (address: string): string => {
  const text = address.trim();
  return utf8(text).length > maxAddressBytes ? '' : text;
};
