/** One file in the Safe's index, and the logical timestamp of its last change. */
import { compareBytes, type Reader, utf8, Writer } from '#core/codec/bytes.ts';

export const FILE_ID_BYTES = 16;
export const DEVICE_ID_BYTES = 8;
/** UTF-8 bytes; file systems allow 255 characters. */
export const MAX_FILE_NAME_BYTES = 1024;
export const MAX_MEDIA_TYPE_BYTES = 255;

/** Fields of fixed length, the two texts and their lengths. */
export const MAX_FILE_ENTRY_BYTES =
  FILE_ID_BYTES +
  1 +
  8 +
  DEVICE_ID_BYTES +
  8 +
  8 +
  32 +
  32 +
  4 +
  4 +
  MAX_FILE_NAME_BYTES +
  MAX_MEDIA_TYPE_BYTES;

/** Orders changes without clocks: a counter above all others seen, then the device. */
export interface LogicalTimestamp {
  readonly lamport: bigint;
  readonly device: Uint8Array;
}

export interface FileEntry {
  /** 16 random bytes. */
  readonly id: Uint8Array;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** Milliseconds since the Unix epoch, for display only. */
  readonly addedAt: number;
  /** 32 bytes: decrypts the data map and the pieces. */
  readonly secret: Uint8Array;
  /** Chunk name of the encrypted data map. */
  readonly dataMapName: Uint8Array;
  /** A removed file stays as a tombstone: it can be restored, and a merge does not bring it back. */
  readonly removed: boolean;
  readonly stamp: LogicalTimestamp;
}

export function writeEntry(writer: Writer, entry: FileEntry): void {
  writer
    .fixed(entry.id, FILE_ID_BYTES)
    .u8(entry.removed ? 1 : 0)
    .u64(entry.stamp.lamport)
    .fixed(entry.stamp.device, DEVICE_ID_BYTES)
    .u64(BigInt(entry.addedAt))
    .u64(BigInt(entry.size))
    .fixed(entry.secret, 32)
    .fixed(entry.dataMapName, 32)
    .sized(utf8(entry.name))
    .sized(utf8(entry.type));
}

/** @returns `null` for values that none of our programs writes; wrong lengths fail the reader. */
export function readEntry(reader: Reader): FileEntry | null {
  const id = reader.fixed(FILE_ID_BYTES);
  const removed = reader.u8();
  const stamp = { lamport: reader.u64(), device: reader.fixed(DEVICE_ID_BYTES) };
  const addedAt = Number(reader.u64());
  const size = Number(reader.u64());
  const secret = reader.fixed(32);
  const dataMapName = reader.fixed(32);
  const name = readText(reader.sized(MAX_FILE_NAME_BYTES));
  const type = readText(reader.sized(MAX_MEDIA_TYPE_BYTES));
  if (removed > 1 || !Number.isSafeInteger(addedAt) || !Number.isSafeInteger(size)) return null;
  if (name === null || type === null) return null;
  return { id, name, type, size, addedAt, secret, dataMapName, removed: removed === 1, stamp };
}

/**
 * Positive when `a` replaces `b`. Equal timestamps with different content need one device to write twice
 * under one counter; then the bytes decide, so that merging does not depend on order.
 */
export function compareEntries(a: FileEntry, b: FileEntry): number {
  if (a.stamp.lamport !== b.stamp.lamport) return a.stamp.lamport > b.stamp.lamport ? 1 : -1;
  const device = compareBytes(a.stamp.device, b.stamp.device);
  return device !== 0 ? device : compareBytes(entryBytes(a), entryBytes(b));
}

function entryBytes(entry: FileEntry): Uint8Array {
  const writer = new Writer();
  writeEntry(writer, entry);
  return writer.finish();
}

function readText(bytes: Uint8Array): string | null {
  try {
    // Without `ignoreBOM` a leading mark would be dropped and two encodings would decode to the same text.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
