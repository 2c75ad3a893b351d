/**
 * The wallet as bytes, for the Safe's encrypted index. Layout 2, numbers big-endian:
 *
 * u8 2 ‖ proofs ‖ coins ‖ payments ‖ lists, each u32 count ‖ items. A proof (a final transaction with
 * its certificates) is written once for all its coins, which refer to it by index.
 */
import { fromHex, Reader, toHex, utf8, Writer } from '#core/codec/bytes.ts';
import { assert } from '#core/assert.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  decodeCommitted,
  type CommittedTransaction,
  type InputSource,
} from '#money/spend-certificate.ts';
import { maxMemoBytes, maxOutputs } from '#money/transaction.ts';
import { maxBundleBytes } from '../../payment/index.ts';
import { maxAddressBytes, maxRecords } from './record-limits.ts';
import { decodeWalletV1, walletV1Byte } from './codec-v1.ts';
import { maxGeneration, maxListPosition, maxLists, type ListPosition } from '../list-positions.ts';
import { provesCoin } from '../coin-proof.ts';
import { proofTable, type ProofTable } from './proof-table.ts';
import { maxReceiptBytes } from '../receipt.ts';
import {
  mergeWallets,
  type CoinRecord,
  type PaymentRecord,
  type StoredStage,
  type WalletState,
} from '../state.ts';

const layoutVersion = 2;
const txidBytes = 32;
const stageBits: Readonly<Record<StoredStage, number>> = { committing: 1, final: 2, registered: 4 };
const stages = Object.keys(stageBits) as readonly StoredStage[];

/** Wallets are immutable values: each is encoded once, however often it is compared. */
const encoded = new WeakMap<WalletState, Uint8Array>();

/** Deterministic: equal wallets have equal bytes, whatever their history. */
export function encodeWallet(state: WalletState): Uint8Array {
  const known = encoded.get(state);
  if (known !== undefined) return known;
  const coins = sorted(state.coins);
  const proofs = proofTable(coins);
  const writer = new Writer().u8(layoutVersion);
  count(writer, proofs.list);
  for (const bytes of proofs.list) writer.fixed(bytes, bytes.length);
  count(writer, coins);
  for (const each of coins) writeCoin(writer, each, proofs.proofIndexOf);
  const payments = sorted(state.payments);
  count(writer, payments);
  for (const each of payments) writePayment(writer, each);
  assert(state.lists.size <= maxLists, 'places within limits');
  writer.u32(state.lists.size);
  for (const [elder, position] of [...state.lists].sort(([a], [b]) => (a < b ? -1 : 1))) {
    writeListPosition(writer, elder, position);
  }
  const bytes = writer.finish();
  encoded.set(state, bytes);
  return bytes;
}

export function decodeWallet(bytes: Uint8Array): Result<WalletState, 'malformed'> {
  const read = bytes[0] === walletV1Byte ? decodeWalletV1(bytes) : readWallet(bytes);
  if (read === undefined) return err('malformed');
  const coins = [...read.coins].map(([key, each]): [string, CoinRecord] => {
    // Drops proofs that elders would refuse; the lists contain the coin again, with a valid one.
    const holds = each.source === null || provesCoin(each.coin, each.source);
    return [key, holds ? each : { ...each, source: null }];
  });
  const state = { ...read, coins: new Map(coins) };
  return ok(mergeWallets(state, state)); // Normalises order and derived facts, whatever program wrote it.
}

function readWallet(bytes: Uint8Array): WalletState | undefined {
  const reader = new Reader(bytes);
  if (reader.u8() !== layoutVersion) return undefined;
  const proofs = readList(reader, maxRecords, () => decodeCommitted(reader));
  const coins = proofs && readList(reader, maxRecords, () => readCoin(reader, proofs));
  const payments = coins && readList(reader, maxRecords, () => readPayment(reader));
  const lists = payments && readList(reader, maxLists, () => readListPosition(reader));
  if (lists === undefined || !reader.finish()) return undefined;
  return {
    coins: new Map(coins?.map((each) => [toHex(each.coin.keyImage), each])),
    payments: new Map(payments?.map((each) => [toHex(each.txid), each])),
    lists: new Map(lists),
  };
}

function writeCoin(
  writer: Writer,
  { coin, source, seenAt, reservedBy, spentBy }: CoinRecord,
  proofIndexOf: ProofTable['proofIndexOf'],
): void {
  writer.fixed(coin.keyImage, 32).fixed(coin.oneTimeKey, 32).u64(coin.amount);
  if (coin.key.kind === 'genesis') writer.u8(0);
  else writer.u8(1).fixed(coin.key.tweak, 32);
  if (coin.txid === null) writer.u8(0);
  else writer.u8(1).fixed(coin.txid, txidBytes);
  bounded(writer, coin.memo, maxMemoBytes).u64(BigInt(seenAt));
  if (source === null) writer.u8(0);
  else if (source.kind === 'genesis') writer.u8(1);
  else writer.u8(2).u32(proofIndexOf(source)).u8(source.index);
  writeTxids(writer, reservedBy);
  writeTxids(writer, spentBy);
}

function readCoin(reader: Reader, proofs: readonly CommittedTransaction[]): CoinRecord | undefined {
  const keyImage = reader.fixed(32);
  const oneTimeKey = reader.fixed(32);
  const amount = reader.u64();
  const stealth = reader.u8();
  const key: CoinRecord['coin']['key'] =
    stealth === 0 ? { kind: 'genesis' } : { kind: 'stealth', tweak: reader.fixed(32) };
  const made = reader.u8();
  const txid = made === 0 ? null : reader.fixed(txidBytes);
  const memo = reader.sized(maxMemoBytes);
  const seenAt = readTime(reader);
  const source = readSource(reader, proofs);
  const reservedBy = readTxids(reader);
  const spentBy = readTxids(reader);
  if (stealth > 1 || made > 1 || seenAt === undefined || source === undefined) return undefined;
  if (reservedBy === undefined || spentBy === undefined) return undefined;
  const coin = { keyImage, oneTimeKey, amount, key, txid, memo };
  return { coin, source, seenAt, reservedBy, spentBy };
}

function readSource(
  reader: Reader,
  proofs: readonly CommittedTransaction[],
): InputSource | null | undefined {
  const kind = reader.u8();
  if (kind === 0) return null;
  if (kind === 1) return { kind: 'genesis' };
  const proof = proofs[reader.u32()];
  const index = reader.u8();
  if (kind !== 2 || proof === undefined || index >= maxOutputs) return undefined;
  return { kind: 'committed', ...proof, index };
}

function writePayment(writer: Writer, payment: PaymentRecord): void {
  writer.fixed(payment.txid, txidBytes).u64(payment.amount);
  bounded(writer, utf8(payment.address), maxAddressBytes);
  bounded(writer, payment.memo, maxMemoBytes).u64(BigInt(payment.at));
  optional(writer, payment.bundle, maxBundleBytes);
  optional(writer, payment.receipt, maxReceiptBytes);
  writer.u8([...payment.stages].reduce((bits, stage) => bits | stageBits[stage], 0));
}

function readPayment(reader: Reader): PaymentRecord | undefined {
  const txid = reader.fixed(txidBytes);
  const amount = reader.u64();
  const address = textOf(reader.sized(maxAddressBytes));
  const memo = reader.sized(maxMemoBytes);
  const at = readTime(reader);
  const bundle = readOptional(reader, maxBundleBytes);
  const receipt = readOptional(reader, maxReceiptBytes);
  const bits = reader.u8();
  if (address === undefined || at === undefined || bits > 7) return undefined;
  if (bundle === undefined || receipt === undefined) return undefined;
  const reached = new Set(stages.filter((stage) => (bits & stageBits[stage]) !== 0));
  return { txid, amount, address, memo, at, bundle, receipt, stages: reached };
}

function writeListPosition(writer: Writer, elder: string, position: ListPosition): void {
  assert(
    position.generation <= maxGeneration && position.after <= maxListPosition,
    'a place in a list',
  );
  writer.fixed(bytesOfHex(elder), 32).u32(position.generation).u64(BigInt(position.after));
  if (position.skipped === null) writer.u8(0);
  else writer.u8(1).u64(BigInt(position.skipped.from)).u64(position.skipped.largest);
}

function readListPosition(reader: Reader): readonly [string, ListPosition] | undefined {
  const elder = toHex(reader.fixed(32));
  const generation = reader.u32();
  const after = Number(reader.u64());
  const flag = reader.u8();
  const skipped = flag === 0 ? null : { from: Number(reader.u64()), largest: reader.u64() };
  if (flag > 1 || after > maxListPosition || (skipped?.from ?? 0) > maxListPosition)
    return undefined;
  return [elder, { generation, after, skipped }];
}

function writeTxids(writer: Writer, txids: ReadonlySet<string>): void {
  count(writer, [...txids]);
  for (const txid of [...txids].sort()) writer.fixed(bytesOfHex(txid), txidBytes);
}

function readTxids(reader: Reader): ReadonlySet<string> | undefined {
  const list = readList(reader, maxRecords, () => toHex(reader.fixed(txidBytes)));
  return list && new Set(list);
}

const sorted = <T>(map: ReadonlyMap<string, T>): readonly T[] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);

function count(writer: Writer, list: readonly unknown[]): void {
  assert(list.length <= maxRecords, 'a wallet within limits');
  writer.u32(list.length);
}

function bounded(writer: Writer, bytes: Uint8Array, max: number): Writer {
  assert(bytes.length <= max, 'a field within limits');
  return writer.sized(bytes);
}

function optional(writer: Writer, bytes: Uint8Array | null, max: number): void {
  if (bytes === null) writer.u8(0);
  else bounded(writer.u8(1), bytes, max);
}

function readOptional(reader: Reader, max: number): Uint8Array | null | undefined {
  const flag = reader.u8();
  if (flag > 1) return undefined;
  return flag === 0 ? null : reader.sized(max);
}

/** Stops at the first malformed item: the count is not trusted for allocation. */
function readList<T>(reader: Reader, max: number, item: () => T | undefined): T[] | undefined {
  const length = reader.u32();
  if (length > max) return undefined;
  const items: T[] = [];
  for (let i = 0; i < length && !reader.failed; i++) {
    const read = item();
    if (read === undefined) return undefined;
    items.push(read);
  }
  return items;
}

function readTime(reader: Reader): number | undefined {
  const time = Number(reader.u64());
  return Number.isSafeInteger(time) ? time : undefined;
}

function bytesOfHex(text: string): Uint8Array {
  const bytes = fromHex(text);
  assert(bytes.ok, 'a name in hex');
  return bytes.value;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
