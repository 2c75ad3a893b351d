/** The wallet as bytes, for the Safe's encrypted index. */
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
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
import { err, ok, type Result } from '#core/result.ts';
import { sourceShape } from '#money/shapes.ts';
import { maxMemoBytes } from '#money/transaction.ts';
import { mergeWallets, type CoinRecord, type PaymentRecord, type WalletState } from './state.ts';

/** A person's lifetime; an index of this size is some tens of megabytes. */
const maxRecords = 100_000;
/** A coin is promised to one payment, or to a few when devices raced. */
const maxRivals = 64;

const key32 = bytesOf(32);
const memo = bytesUpTo(maxMemoBytes);
const time = intBetween(0, Number.MAX_SAFE_INTEGER);
const rivals = listOf(textUpTo(64), maxRivals);

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

const paymentRecordShape = record({
  txid: key32,
  amount: u64,
  address: textUpTo(200),
  memo,
  at: time,
  bundle: nullable(bytesUpTo(64 * 1024)),
  receipt: nullable(bytesUpTo(8 * 1024)),
  stages: listOf(oneOf('prepared', 'final', 'registered'), 3),
});

const walletShape = record({
  version: literal(1),
  coins: listOf(coinRecordShape, maxRecords),
  payments: listOf(paymentRecordShape, maxRecords),
});

export function encodeWallet(state: WalletState): Uint8Array {
  const coins = [...state.coins.values()].map((each) => ({
    ...each,
    reservedBy: [...each.reservedBy].sort(),
    spentBy: [...each.spentBy].sort(),
  }));
  const payments = [...state.payments.values()].map((each) => ({
    ...each,
    stages: [...each.stages].sort(),
  }));
  return encodeCbor({ version: 1, coins, payments });
}

export function decodeWallet(bytes: Uint8Array): Result<WalletState, 'malformed'> {
  const decoded = decodeCbor(bytes);
  const shaped = decoded.ok ? walletShape(decoded.value) : undefined;
  if (shaped === undefined) return err('malformed');
  const coins = shaped.coins.map((each): [string, CoinRecord] => [
    toHex(each.coin.keyImage),
    { ...each, reservedBy: new Set(each.reservedBy), spentBy: new Set(each.spentBy) },
  ]);
  const payments = shaped.payments.map((each): [string, PaymentRecord] => [
    toHex(each.txid),
    { ...each, stages: new Set(each.stages) },
  ]);
  const state = { coins: new Map(coins), payments: new Map(payments) };
  return ok(mergeWallets(state, state)); // Sorted and settled, whoever wrote it.
}
