/**
 * The Safe's index: its contents as mergeable sets. Merging is commutative, associative and idempotent, so
 * two devices that write concurrently, or offline for days, lose nothing.
 *
 * Layout: u8 1 ‖ u32 count ‖ count × file entry, ascending by id ‖ wallet (u32 length ‖ bytes).
 */
import { compareBytes, equalBytes, Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  compareEntries,
  readEntry,
  writeEntry,
  type FileEntry,
  type LogicalTimestamp,
} from './file-entry.ts';

/** The largest list a change may leave. */
export const MAX_FILES = 100_000;
export const MAX_WALLET_BYTES = 16 * 1024 * 1024;
export const MAX_INDEX_BYTES = 64 * 1024 * 1024;
/**
 * Devices that each kept to the bounds above may merge: the combined list must be storable, or none of them
 * could save any longer.
 */
const maxMergedFactor = 3;
/** Readers accept more than any writer produces, so that no stored index is ever refused. */
const readFactor = 4;
export const MAX_READ_FILES = readFactor * MAX_FILES;
export const MAX_READ_WALLET_BYTES = readFactor * MAX_WALLET_BYTES;
export const MAX_READ_INDEX_BYTES = readFactor * MAX_INDEX_BYTES;

const layoutVersion = 1;

export interface SafeIndex {
  /** By the hex of their id. */
  readonly files: ReadonlyMap<string, FileEntry>;
  /** The wallet's own mergeable section, opaque here; empty when there is none yet. */
  readonly wallet: Uint8Array;
}

/** Must be commutative, associative and idempotent; the empty section is its neutral element. */
export type MergeWallet = (a: Uint8Array, b: Uint8Array) => Uint8Array;

export const EMPTY_INDEX: SafeIndex = { files: new Map(), wallet: new Uint8Array() };

export function mergeIndex(a: SafeIndex, b: SafeIndex, mergeWallet: MergeWallet): SafeIndex {
  const files = new Map(a.files);
  for (const [id, entry] of b.files) {
    const known = files.get(id);
    if (known === undefined || compareEntries(entry, known) > 0) files.set(id, entry);
  }
  const { wallet } = b;
  if (wallet.length === 0 || equalBytes(wallet, a.wallet)) return { files, wallet: a.wallet };
  return { files, wallet: a.wallet.length === 0 ? wallet : mergeWallet(a.wallet, wallet) };
}

/** Only a holder of every key of the Safe can write this value: saving stays possible even then. */
const maxLamport = 2n ** 64n - 1n;

/** A timestamp above all others in this index. */
export function nextTimestamp(index: SafeIndex, device: Uint8Array): LogicalTimestamp {
  let lamport = 0n;
  for (const { stamp } of index.files.values()) {
    if (stamp.lamport > lamport) lamport = stamp.lamport;
  }
  return { lamport: lamport < maxLamport ? lamport + 1n : lamport, device };
}

export function putFile(
  index: SafeIndex,
  device: Uint8Array,
  file: Omit<FileEntry, 'removed' | 'stamp'>,
): SafeIndex {
  return withEntry(index, { ...file, removed: false, stamp: nextTimestamp(index, device) });
}

/** Removes or restores a file; unknown files and repetitions change nothing. */
export function setRemoved(
  index: SafeIndex,
  device: Uint8Array,
  fileId: string,
  removed: boolean,
): SafeIndex {
  const entry = index.files.get(fileId);
  if (entry === undefined || entry.removed === removed) return index;
  return withEntry(index, { ...entry, removed, stamp: nextTimestamp(index, device) });
}

export const withWallet = (index: SafeIndex, wallet: Uint8Array): SafeIndex => ({
  ...index,
  wallet,
});

/** Newest first, as lists show them. */
export const listFiles = (index: SafeIndex, removed: boolean): readonly FileEntry[] =>
  [...index.files.values()]
    .filter((entry) => entry.removed === removed)
    .sort((a, b) => b.addedAt - a.addedAt || compareBytes(a.id, b.id));

export type IndexSizeProblem = 'tooManyFiles' | 'walletTooLarge' | 'tooManyBytes';

/**
 * May this index be stored? Must be called before every write, on a device and on the network.
 * @param before the index before a change, which must not grow a list over its bound; omitted for a merge
 * @returns its bytes
 */
export function checkIndexSize(
  index: SafeIndex,
  before?: SafeIndex,
): Result<Uint8Array, IndexSizeProblem> {
  const bytes = encodeIndex(index);
  const exceeds = (limit: number, now: number, then: number | undefined): boolean =>
    now > maxMergedFactor * limit || (then !== undefined && now > limit && now > then);
  if (exceeds(MAX_FILES, index.files.size, before?.files.size)) return err('tooManyFiles');
  if (exceeds(MAX_WALLET_BYTES, index.wallet.length, before?.wallet.length)) {
    return err('walletTooLarge');
  }
  // An overlong file list must not keep a payment from being stored.
  const then = before?.files === index.files ? undefined : before;
  const thenBytes = then === undefined ? undefined : encodeIndex(then).length;
  return exceeds(MAX_INDEX_BYTES, bytes.length, thenBytes) ? err('tooManyBytes') : ok(bytes);
}

const encodings = new WeakMap<SafeIndex, Uint8Array>();

/** Deterministic: equal indexes have equal bytes, whatever order they were built in. */
export function encodeIndex(index: SafeIndex): Uint8Array {
  const known = encodings.get(index);
  if (known !== undefined) return known;
  const entries = [...index.files.values()].sort((a, b) => compareBytes(a.id, b.id));
  const writer = new Writer().u8(layoutVersion).u32(entries.length);
  for (const entry of entries) writeEntry(writer, entry);
  const bytes = writer.sized(index.wallet).finish();
  encodings.set(index, bytes);
  return bytes;
}

export function decodeIndex(bytes: Uint8Array): Result<SafeIndex, 'malformed'> {
  if (bytes.length > MAX_READ_INDEX_BYTES) return err('malformed');
  const reader = new Reader(bytes);
  if (reader.u8() !== layoutVersion) return err('malformed');
  const count = reader.u32();
  if (count > MAX_READ_FILES) return err('malformed');
  const files = new Map<string, FileEntry>();
  let previous: FileEntry | null = null;
  for (let i = 0; i < count; i++) {
    const entry = readEntry(reader);
    if (entry === null) return err('malformed');
    if (previous !== null && compareBytes(previous.id, entry.id) >= 0) return err('malformed');
    files.set(toHex(entry.id), entry);
    previous = entry;
  }
  const wallet = reader.sized(MAX_READ_WALLET_BYTES);
  return reader.finish() ? ok({ files, wallet }) : err('malformed');
}

function withEntry(index: SafeIndex, entry: FileEntry): SafeIndex {
  return { ...index, files: new Map(index.files).set(toHex(entry.id), entry) };
}
