/**
 * Strict CBOR for envelopes (RFC 8949 §4.2 deterministic encoding): one encoding per value, no
 * indefinite lengths, no tags, no floats, no undefined, no duplicate keys, bounded nesting.
 * Signed and hashed bytes never pass through here: they have fixed layouts (`writer.ts`).
 */
import { decode, encode, Type, Token, type EncodeOptions } from 'cborg';
import { err, ok, type Result } from '../result.ts';
import { equalBytes } from './bytes.ts';
import { scanCbor } from './cbor-scan.ts';

/** Deep enough for a request that carries a transaction with its proofs; shallow enough to scan. */
const maxDepth = 12;
/** More items than any message between nodes has; some 10 ms of decoding. */
const messageItems = 8 * 1024;
/** For what this program wrote itself: its size on disk is bound enough. */
export const ownItems = Number.MAX_SAFE_INTEGER;

const noFloats: EncodeOptions = {
  typeEncoders: {
    number: (value: number) => {
      if (!Number.isSafeInteger(value)) throw new Error('only safe integers travel');
      return value >= 0 ? new Token(Type.uint, value) : new Token(Type.negint, value);
    },
  },
};

/** @returns deterministic CBOR; throws only on values our own code must never build (floats). */
export function encodeCbor(value: unknown): Uint8Array {
  return encode(value, noFloats);
}

/**
 * @param maxItems how many items the value may have: what its reader expects at most.
 * @returns the value, or `malformed` for anything that is not the one strict encoding of it.
 */
export function decodeCbor(
  bytes: Uint8Array,
  maxItems = messageItems,
): Result<unknown, 'malformed'> {
  const decoded = decodeWithLibrary(bytes, maxItems);
  if (!decoded.ok) return decoded;
  try {
    // The library lets unsorted keys and broken UTF-8 through: only what encodes to the very same
    // bytes is the one encoding of its value.
    return equalBytes(encodeCbor(decoded.value), bytes) ? decoded : err('malformed');
  } catch {
    return err('malformed');
  }
}

/**
 * For values that the caller's shapes know to hold only lists, integers and bytes: there the scan
 * and the library's own strictness are complete, and a mebibyte need not be encoded again.
 */
export function decodeCborList(
  bytes: Uint8Array,
  maxItems = messageItems,
): Result<readonly unknown[], 'malformed'> {
  const decoded = decodeWithLibrary(bytes, maxItems);
  if (!decoded.ok) return decoded;
  return Array.isArray(decoded.value) ? ok(decoded.value) : err('malformed');
}

function decodeWithLibrary(bytes: Uint8Array, maxItems: number): Result<unknown, 'malformed'> {
  if (scanCbor(bytes, { maxItems, maxDepth }) === undefined) return err('malformed');
  try {
    const value: unknown = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: true,
      rejectDuplicateMapKeys: true,
    });
    return ok(value);
  } catch {
    return err('malformed');
  }
}
