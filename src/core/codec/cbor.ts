/**
 * Strict CBOR for envelopes (RFC 8949 §4.2 deterministic encoding): one encoding per value, no
 * indefinite lengths, no tags, no floats, no undefined, no duplicate keys, bounded nesting.
 * Signed and hashed bytes never use CBOR: they have fixed layouts (`bytes.ts`).
 */
import { decode, encode, Type, Token, type EncodeOptions } from 'cborg';
import { err, ok, type Result } from '../result.ts';
import { equalBytes } from './bytes.ts';
import { scanCbor } from './cbor-scan.ts';

/** Deep enough for a request with a transaction and its proofs; shallow enough to scan. */
const maxDepth = 12;
/** More items than any message between nodes has; some 10 ms of decoding. */
const messageItems = 8 * 1024;
/** For values this program wrote itself: their size on disk bounds them. */
export const unlimitedItems = Number.MAX_SAFE_INTEGER;

const noFloats: EncodeOptions = {
  typeEncoders: {
    number: (value: number) => {
      if (!Number.isSafeInteger(value)) throw new Error('only safe integers are encoded');
      return value >= 0 ? new Token(Type.uint, value) : new Token(Type.negint, value);
    },
  },
};

/** @returns deterministic CBOR; throws only on values our own code must never build (floats). */
export function encodeCbor(value: unknown): Uint8Array {
  return encode(value, noFloats);
}

/**
 * @param maxItems the most items the reader expects.
 * @returns the value, or `malformed` for bytes that are not its deterministic encoding.
 */
export function decodeCbor(
  bytes: Uint8Array,
  maxItems = messageItems,
): Result<unknown, 'malformed'> {
  const decoded = decodeWithLibrary(bytes, maxItems);
  if (!decoded.ok) return decoded;
  try {
    // The library accepts unsorted keys and invalid UTF-8, so encode again and compare.
    return equalBytes(encodeCbor(decoded.value), bytes) ? decoded : err('malformed');
  } catch {
    return err('malformed');
  }
}

/**
 * For values whose shapes contain only lists, integers and bytes: the scan and the library's strict
 * mode suffice there, so a mebibyte need not be encoded again.
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
