/**
 * The Safe's index: what is in the Safe, as sets that merge. Two devices that wrote at once, or
 * days apart without a network, lose nothing: merging is commutative, associative and idempotent.
 *
 * Layout: u8 1 ‖ u32 count ‖ count × file entry, ascending by id ‖ wallet (u32 length ‖ bytes).
 */
import { compareBytes, Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { compareEntries, readEntry, writeEntry, type FileEntry, type Stamp } from './file-entry.ts';

export const MAX_FILES = 100_000;
export const MAX_WALLET_BYTES = 16 * 1024 * 1024;
export const MAX_INDEX_BYTES = 64 * 1024 * 1024;

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
  if (wallet.length === 0) return { files, wallet: a.wallet };
  return { files, wallet: a.wallet.length === 0 ? wallet : mergeWallet(a.wallet, wallet) };
}

/** A stamp above everything this index has seen. */
export function nextStamp(index: SafeIndex, device: Uint8Array): Stamp {
  let lamport = 0n;
  for (const { stamp } of index.files.values()) {
    if (stamp.lamport > lamport) lamport = stamp.lamport;
  }
  return { lamport: lamport + 1n, device };
}

export function putFile(
  index: SafeIndex,
  device: Uint8Array,
  file: Omit<FileEntry, 'removed' | 'stamp'>,
): SafeIndex {
  return withEntry(index, { ...file, removed: false, stamp: nextStamp(index, device) });
}

/** Removes or restores; nothing happens to a file that is unknown or already so. */
export function setRemoved(
  index: SafeIndex,
  device: Uint8Array,
  fileId: string,
  removed: boolean,
): SafeIndex {
  const entry = index.files.get(fileId);
  if (entry === undefined || entry.removed === removed) return index;
  return withEntry(index, { ...entry, removed, stamp: nextStamp(index, device) });
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

/** Deterministic: equal indexes have equal bytes, whatever order they were built in. */
export function encodeIndex(index: SafeIndex): Uint8Array {
  const entries = [...index.files.values()].sort((a, b) => compareBytes(a.id, b.id));
  const writer = new Writer().u8(layoutVersion).u32(entries.length);
  for (const entry of entries) writeEntry(writer, entry);
  return writer.sized(index.wallet).finish();
}

export function decodeIndex(bytes: Uint8Array): Result<SafeIndex, 'malformed'> {
  if (bytes.length > MAX_INDEX_BYTES) return err('malformed');
  const reader = new Reader(bytes);
  if (reader.u8() !== layoutVersion) return err('malformed');
  const count = reader.u32();
  if (count > MAX_FILES) return err('malformed');
  const files = new Map<string, FileEntry>();
  let previous: FileEntry | null = null;
  for (let i = 0; i < count; i++) {
    const entry = readEntry(reader);
    if (entry === null) return err('malformed');
    if (previous !== null && compareBytes(previous.id, entry.id) >= 0) return err('malformed');
    files.set(toHex(entry.id), entry);
    previous = entry;
  }
  const wallet = reader.sized(MAX_WALLET_BYTES);
  return reader.finish() ? ok({ files, wallet }) : err('malformed');
}

function withEntry(index: SafeIndex, entry: FileEntry): SafeIndex {
  return { ...index, files: new Map(index.files).set(toHex(entry.id), entry) };
}
