/**
 * The body of the pointer record, and of the copy kept on a device.
 *
 * body   = u8 1 ‖ memoryKiB u32 ‖ passes u32 ‖ sealed (u32 length ‖ bytes)
 * sealed = AES-256-GCM under the index key of: u8 0 ‖ index (u32 length ‖ bytes)
 *       or, when the index is kept as chunks, of: u8 1 ‖ secret 32 ‖ data map (u32 length ‖ bytes)
 *
 * The stretching parameters come first because a new device needs them to open the Safe; they are
 * covered by the owner's signature and by the range check.
 */
import { Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { decodeDataMap, encodeDataMap, type DataMap } from '#data/data-map.ts';
import { MAX_POINTER_CIPHERTEXT_BYTES } from '#data/pointer-record.ts';
import { stretchWithinLimits, type StretchParameters } from '#crypto/stretch-parameters.ts';
import { MAX_READ_INDEX_BYTES } from './index-set.ts';

/** A larger body goes to chunks; 4 KiB are reserved for growth of the body. */
export const MAX_INLINE_BYTES = 60 * 1024;
/** Overhead of an inline index: layout fields, nonce and tag. */
export const ENVELOPE_OVERHEAD_BYTES = 1 + 4 + 4 + 4 + 12 + 16 + 1 + 4;

const layoutVersion = 1;

export interface IndexEnvelope {
  readonly parameters: StretchParameters;
  readonly sealed: Uint8Array;
}

export type IndexLocation =
  | { readonly kind: 'inline'; readonly index: Uint8Array }
  | { readonly kind: 'chunks'; readonly secret: Uint8Array; readonly map: DataMap };

/** The encrypted part of a device's own copy: inline whatever its size. */
export const MAX_LOCAL_SEALED_BYTES = MAX_READ_INDEX_BYTES + ENVELOPE_OVERHEAD_BYTES;

export const fitsInline = (index: Uint8Array): boolean =>
  index.length + ENVELOPE_OVERHEAD_BYTES <= MAX_INLINE_BYTES;

export const encodeIndexEnvelope = ({ parameters, sealed }: IndexEnvelope): Uint8Array =>
  new Writer()
    .u8(layoutVersion)
    .u32(parameters.memoryKiB)
    .u32(parameters.passes)
    .sized(sealed)
    .finish();

/** @param maxBytes of the encrypted part: a device's copy is inline whatever its size */
export function decodeIndexEnvelope(
  bytes: Uint8Array,
  maxBytes: number = MAX_POINTER_CIPHERTEXT_BYTES,
): Result<IndexEnvelope, 'malformed'> {
  const reader = new Reader(bytes);
  const version = reader.u8();
  const parameters = { memoryKiB: reader.u32(), passes: reader.u32() };
  const sealed = reader.sized(maxBytes);
  if (!reader.finish() || version !== layoutVersion) return err('malformed');
  return stretchWithinLimits(parameters) ? ok({ parameters, sealed }) : err('malformed');
}

export function encodeIndexLocation(location: IndexLocation): Uint8Array {
  const writer = new Writer();
  if (location.kind === 'inline') return writer.u8(0).sized(location.index).finish();
  return writer.u8(1).fixed(location.secret, 32).sized(encodeDataMap(location.map)).finish();
}

export function decodeIndexLocation(bytes: Uint8Array): Result<IndexLocation, 'malformed'> {
  const reader = new Reader(bytes);
  const kind = reader.u8();
  if (kind === 0) {
    const index = reader.sized(MAX_READ_INDEX_BYTES);
    return reader.finish() ? ok({ kind: 'inline', index }) : err('malformed');
  }
  const secret = reader.fixed(32);
  const map = decodeDataMap(reader.sized(MAX_POINTER_CIPHERTEXT_BYTES));
  if (kind !== 1 || !reader.finish() || !map.ok) return err('malformed');
  return map.value.size <= MAX_READ_INDEX_BYTES
    ? ok({ kind: 'chunks', secret, map: map.value })
    : err('malformed');
}
