/**
 * The plan of one upload: made by the first pass and stored before the first chunk is sent, so that an upload
 * survives the end of the tab, the worker or the machine. Pure; the vault stores and sends.
 *
 * Layout: u8 1 ‖ file id 16 ‖ secret 32 ‖ size u64 ‖ modifiedAt u64 ‖ addedAt u64 ‖ name ‖ type ‖
 *         u32 count ‖ count × plain hash 32. Stored pieces are kept beside it, one record each.
 */
import { assert } from '#core/assert.ts';
import { Reader, utf8, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { MAX_FILE_BYTES, type DataMap } from '#data/data-map.ts';
import { pieceRange, pieceCount } from '#data/self-encryption.ts';
import { FILE_ID_BYTES, MAX_FILE_NAME_BYTES, MAX_MEDIA_TYPE_BYTES } from '../index/file-entry.ts';

const layoutVersion = 1;

export interface UploadPlan {
  readonly fileId: Uint8Array;
  readonly secret: Uint8Array;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** The file's own date, to recognise it without reading it. */
  readonly modifiedAt: number;
  readonly addedAt: number;
  /** SHA-256 of each plain piece. */
  readonly plainHashes: readonly Uint8Array[];
}

/** Chunk names of the pieces the network has acknowledged, by piece. */
export type StoredPieces = ReadonlyMap<number, Uint8Array>;

/** The lowest pieces that are neither stored nor being sent, at most `room` of them. */
export function nextPieces(
  plan: UploadPlan,
  stored: StoredPieces,
  sending: ReadonlySet<number>,
  room: number,
): readonly number[] {
  const next: number[] = [];
  for (let index = 0; index < plan.plainHashes.length && next.length < room; index++) {
    if (!stored.has(index) && !sending.has(index)) next.push(index);
  }
  return next;
}

export const isUploaded = (plan: UploadPlan, stored: StoredPieces): boolean =>
  stored.size === plan.plainHashes.length;

export function storedBytes(plan: UploadPlan, stored: StoredPieces): number {
  let bytes = 0;
  for (const index of stored.keys()) {
    const { from, to } = pieceRange(plan.size, index);
    bytes += to - from;
  }
  return bytes;
}

/** The data map of an upload whose pieces are all stored. */
export function dataMapOf(plan: UploadPlan, stored: StoredPieces): DataMap {
  const entries = plan.plainHashes.map((plainHash, index) => {
    const chunkName = stored.get(index);
    assert(chunkName !== undefined, 'a data map names stored chunks only');
    return { plainHash, chunkName };
  });
  return { size: plan.size, entries };
}

export function encodeUploadPlan(plan: UploadPlan): Uint8Array {
  const writer = new Writer()
    .u8(layoutVersion)
    .fixed(plan.fileId, FILE_ID_BYTES)
    .fixed(plan.secret, 32)
    .u64(BigInt(plan.size))
    .u64(BigInt(plan.modifiedAt))
    .u64(BigInt(plan.addedAt))
    .sized(utf8(plan.name))
    .sized(utf8(plan.type))
    .u32(plan.plainHashes.length);
  for (const hash of plan.plainHashes) writer.fixed(hash, 32);
  return writer.finish();
}

export function decodeUploadPlan(bytes: Uint8Array): Result<UploadPlan, 'malformed'> {
  const reader = new Reader(bytes);
  const version = reader.u8();
  const fileId = reader.fixed(FILE_ID_BYTES);
  const secret = reader.fixed(32);
  const [size, modifiedAt, addedAt] = [reader.u64(), reader.u64(), reader.u64()].map(Number);
  const name = reader.sized(MAX_FILE_NAME_BYTES);
  const type = reader.sized(MAX_MEDIA_TYPE_BYTES);
  const count = reader.u32();
  if (size === undefined || modifiedAt === undefined || addedAt === undefined) {
    return err('malformed');
  }
  if (version !== layoutVersion || size > MAX_FILE_BYTES) return err('malformed');
  if (count !== pieceCount(size)) return err('malformed');
  const plainHashes = Array.from({ length: count }, () => reader.fixed(32));
  if (!reader.finish()) return err('malformed');
  const text = new TextDecoder();
  return ok({
    fileId,
    secret,
    name: text.decode(name),
    type: text.decode(type),
    size,
    modifiedAt,
    addedAt,
    plainHashes,
  });
}
