/**
 * Data map: the list of a file's pieces. Encrypted, it fits one chunk; a file of more than
 * {@link MAX_PIECES} pieces (15.6 GiB) is refused as `tooLarge` before anything is sent.
 *
 * Layout: u8 1 ‖ u64 size ‖ u32 count ‖ count × (plain hash 32 ‖ chunk name 32).
 */
import { assert } from '#core/assert.ts';
import { Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { PIECE_BYTES } from './chunk.ts';
import { pieceCount } from './self-encryption.ts';

/** 16 000 × 64 B + 13 B is just below one piece of 1 MiB. */
export const MAX_PIECES = 16_000;
export const MAX_FILE_BYTES = MAX_PIECES * PIECE_BYTES;
export const MAX_DATA_MAP_BYTES = 13 + MAX_PIECES * 64;

const layoutVersion = 1;

export interface DataMapEntry {
  /** SHA-256 of the plain piece: verified after decryption, and input of the keys. */
  readonly plainHash: Uint8Array;
  readonly chunkName: Uint8Array;
}

export interface DataMap {
  /** Bytes of the whole file. */
  readonly size: number;
  readonly entries: readonly DataMapEntry[];
}

/** @returns `tooLarge` when the file does not fit one data map. */
export const checkFileSize = (size: number): Result<number, 'tooLarge'> =>
  size <= MAX_FILE_BYTES ? ok(size) : err('tooLarge');

export function encodeDataMap(map: DataMap): Uint8Array {
  assert(map.entries.length === pieceCount(map.size), 'one entry per piece');
  assert(map.entries.length <= MAX_PIECES, 'the size was checked before the upload began');
  const writer = new Writer().u8(layoutVersion).u64(BigInt(map.size)).u32(map.entries.length);
  for (const { plainHash, chunkName } of map.entries) {
    writer.fixed(plainHash, 32).fixed(chunkName, 32);
  }
  return writer.finish();
}

/** @returns `malformed` unless the bytes are the canonical encoding of a valid map. */
export function decodeDataMap(bytes: Uint8Array): Result<DataMap, 'malformed'> {
  if (bytes.length > MAX_DATA_MAP_BYTES) return err('malformed');
  const reader = new Reader(bytes);
  const version = reader.u8();
  const size = reader.u64();
  const count = reader.u32();
  if (version !== layoutVersion || size > BigInt(MAX_FILE_BYTES)) return err('malformed');
  if (count !== pieceCount(Number(size))) return err('malformed');
  const entries: DataMapEntry[] = [];
  for (let i = 0; i < count; i++) {
    entries.push({ plainHash: reader.fixed(32), chunkName: reader.fixed(32) });
  }
  return reader.finish() ? ok({ size: Number(size), entries }) : err('malformed');
}

export const plainHashesOf = (map: DataMap): readonly Uint8Array[] =>
  map.entries.map((entry) => entry.plainHash);
