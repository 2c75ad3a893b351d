/**
 * Strict CBOR for envelopes (RFC 8949 §4.2 deterministic encoding): one encoding per value, no
 * indefinite lengths, no tags, no floats, no undefined, no duplicate keys, bounded nesting.
 * Signed and hashed bytes never pass through here: they have fixed layouts (`writer.ts`).
 */
import { decode, encode, Type, Token, type EncodeOptions } from 'cborg';
import { err, ok, type Result } from '../result.ts';
import { equalBytes } from './bytes.ts';

/** Deep enough for a request that carries a transaction with its proofs; shallow enough to scan. */
const maxDepth = 12;

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

/** @returns the value, or `malformed` for anything that is not the one strict encoding of it. */
export function decodeCbor(bytes: Uint8Array): Result<unknown, 'malformed'> {
  const decoded = decodeWithLibrary(bytes);
  if (!decoded.ok) return decoded;
  try {
    // The library lets unsorted keys, floats and broken UTF-8 through: only what encodes to the
    // very same bytes is the one encoding of its value.
    return equalBytes(encodeCbor(decoded.value), bytes) ? decoded : err('malformed');
  } catch {
    return err('malformed');
  }
}

/**
 * For values that the caller's shapes know to hold only lists, integers and bytes: there the
 * library's own strictness is complete, and a mebibyte need not be encoded again.
 */
export function decodeCborList(bytes: Uint8Array): Result<readonly unknown[], 'malformed'> {
  const decoded = decodeWithLibrary(bytes);
  if (!decoded.ok) return decoded;
  return Array.isArray(decoded.value) ? ok(decoded.value) : err('malformed');
}

function decodeWithLibrary(bytes: Uint8Array): Result<unknown, 'malformed'> {
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
    return depthOf(value, 0) > maxDepth ? err('malformed') : ok(value);
  } catch {
    return err('malformed');
  }
}

function depthOf(value: unknown, depth: number): number {
  if (depth > maxDepth || typeof value !== 'object' || value === null) return depth;
  if (value instanceof Uint8Array) return depth;
  let deepest = depth;
  for (const inner of Object.values(value)) {
    deepest = Math.max(deepest, depthOf(inner, depth + 1));
    if (deepest > maxDepth) break;
  }
  return deepest;
}
