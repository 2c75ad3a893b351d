/**
 * CLSAG (eprint 2019/654) with a ring of one: knows p with P = p·G and I = p·Hp(P).
 *
 *   L = α·G, R = α·Hp(P), c = Hs(m, n = 1, P, I, L, R), s = α − c·p
 *   verify: L = s·G + c·P, R = s·Hp(P) + c·I, and c comes out again.
 */
import { Writer, equalBytes } from '#core/codec/bytes.ts';
import { assert } from '#core/assert.ts';
import {
  G,
  combinePoints,
  decodePoint,
  decodeScalar,
  encodeScalar,
  hashToPoint,
  hashToScalar,
  modOrder,
  type Point,
} from '#crypto/ristretto.ts';
import type { InputSignature } from './transaction.ts';

export interface SpentKey {
  /** P. */
  readonly oneTimeKey: Uint8Array;
  /** I. */
  readonly keyImage: Uint8Array;
}

/**
 * @param secret p, 32 bytes little-endian.
 * @param hash m, the transaction hash.
 * @param entropy 32 fresh bytes; the nonce is hedged, so even constant ones leak nothing.
 */
export function signInput(
  secret: Uint8Array,
  key: SpentKey,
  hash: Uint8Array,
  entropy: Uint8Array,
): InputSignature {
  const p = decodeScalar(secret);
  assert(p !== undefined && p !== 0n, 'a one-time secret is a scalar');
  const alpha = hashToScalar('safe/v1/ring/nonce', entropy, secret, hash, key.oneTimeKey);
  const L = G.multiply(alpha);
  const R = hashToPoint(key.oneTimeKey).multiply(alpha);
  const c = challenge(hash, key, L, R);
  return { c0: encodeScalar(c), s: encodeScalar(modOrder(alpha - c * p)) };
}

/** False for any mismatch, non-canonical scalar or identity; never throws. */
export function verifyInput(key: SpentKey, hash: Uint8Array, signature: InputSignature): boolean {
  const P = decodePoint(key.oneTimeKey);
  const I = decodePoint(key.keyImage);
  const c = decodeScalar(signature.c0);
  const s = decodeScalar(signature.s);
  if (P === undefined || I === undefined || c === undefined || s === undefined) return false;
  const L = combinePoints(s, G, c, P);
  const R = combinePoints(s, hashToPoint(key.oneTimeKey), c, I);
  return equalBytes(encodeScalar(challenge(hash, key, L, R)), signature.c0);
}

/** Hashes every public value and the size of the ring: no weak Fiat–Shamir. */
function challenge(hash: Uint8Array, key: SpentKey, L: Point, R: Point): bigint {
  const ringSize = new Writer().u32(1).finish();
  return hashToScalar(
    'safe/v1/ring/round',
    hash,
    ringSize,
    key.oneTimeKey,
    key.keyImage,
    L.toBytes(),
    R.toBytes(),
  );
}
