/**
 * Reads the wallet's first layout (version 0.1): CBOR, every coin with its whole proof. Its writer
 * validated less than its reader, so this accepts everything it can have written.
 */
import { fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { decodeCbor, unlimitedItems } from '#core/codec/cbor.ts';
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
import { storedSourceShape } from '#money/cbor-shapes.ts';
import { maxMemoBytes } from '#money/transaction.ts';
import { maxBundleBytes } from '../../payment/index.ts';
import { maxAddressBytes, maxRecords } from './record-limits.ts';
import { maxReceiptBytes } from '../receipt.ts';
import type { CoinRecord, PaymentRecord, StoredStage, WalletState } from '../state.ts';

const key32 = bytesOf(32);
const memo = bytesUpTo(maxMemoBytes);
const time = intBetween(0, Number.MAX_SAFE_INTEGER);
const txidText = (value: unknown): string | undefined => {
  const bytes = typeof value === 'string' ? fromHex(value) : undefined;
  return bytes?.ok === true && bytes.value.length === 32 ? toHex(bytes.value) : undefined;
};
const txidList = listOf(txidText, maxRecords);

const coinRecordShape = record({
  coin: record({
    keyImage: key32,
    oneTimeKey: key32,
    amount: u64,
    key: union({ genesis: record({}), stealth: record({ tweak: key32 }) }),
    txid: nullable(key32),
    memo,
  }),
  source: nullable(storedSourceShape),
  seenAt: time,
  reservedBy: txidList,
  spentBy: txidList,
});

/** As typed, including surrounding spaces. */
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

/** The first byte of a CBOR map of three fields; no later layout starts with it. */
export const walletV1Byte = 0xa3;

/** @returns undefined for bytes that version 0.1 cannot have written. */
export function decodeWalletV1(bytes: Uint8Array): WalletState | undefined {
  const decoded = decodeCbor(bytes, unlimitedItems);
  const shaped = decoded.ok ? walletShape(decoded.value) : undefined;
  if (shaped === undefined) return undefined;
  const coins = shaped.coins.map((each): [string, CoinRecord] => [
    toHex(each.coin.keyImage),
    { ...each, reservedBy: new Set(each.reservedBy), spentBy: new Set(each.spentBy) },
  ]);
  const payments = shaped.payments.map((each): [string, PaymentRecord] => [
    toHex(each.txid),
    {
      ...each,
      address: withinAddressLimit(each.address),
      stages: new Set(each.stages.map(stageOf)),
    },
  ]);
  return { coins: new Map(coins), payments: new Map(payments), lists: new Map() };
}

/** Version 0.1 named the stage by the certificate that begins it. */
const stageOf = (stage: 'prepared' | 'final' | 'registered'): StoredStage =>
  stage === 'prepared' ? 'committing' : stage;

const withinAddressLimit = (address: string): string => {
  const text = address.trim();
  return utf8(text).length > maxAddressBytes ? '' : text;
};
