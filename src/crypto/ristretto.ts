/**
 * ristretto255 (RFC 9496), the group of coins: prime order ℓ, so no small subgroups to check.
 *
 * Letters: G = base point, p = one-time secret, P = p·G, Hp = hash to point, I = p·Hp(P).
 */
import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { assert } from '#core/assert.ts';
import { Writer } from '#core/codec/bytes.ts';

export const POINT_BYTES = 32;
export const SCALAR_BYTES = 32;

export type Point = InstanceType<typeof ristretto255.Point>;

/** ℓ = 2^252 + 27742317777372353535851937790883648493. */
const order: bigint = ristretto255.Point.Fn.ORDER;

export const G: Point = ristretto255.Point.BASE;

/** @returns the point of canonical bytes; undefined for anything else and for the identity. */
export function decodePoint(bytes: Uint8Array): Point | undefined {
  if (bytes.length !== POINT_BYTES) return undefined;
  try {
    const point = ristretto255.Point.fromBytes(bytes);
    return point.is0() ? undefined : point;
  } catch {
    return undefined;
  }
}

/** @returns the scalar of 32 bytes little-endian, undefined when it is not below ℓ. */
export function decodeScalar(bytes: Uint8Array): bigint | undefined {
  if (bytes.length !== SCALAR_BYTES) return undefined;
  const value = littleEndian(bytes);
  return value < order ? value : undefined;
}

/** 32 bytes little-endian. */
export function encodeScalar(scalar: bigint): Uint8Array {
  assert(scalar >= 0n && scalar < order, 'a scalar is below the order');
  const bytes = new Uint8Array(SCALAR_BYTES);
  for (let i = 0, rest = scalar; i < SCALAR_BYTES; i++, rest >>= 8n) bytes[i] = Number(rest & 255n);
  return bytes;
}

/** a mod ℓ, never negative. */
export function modOrder(value: bigint): bigint {
  const rest = value % order;
  return rest < 0n ? rest + order : rest;
}

/**
 * SHA-512(LP(label) ‖ LP(part) …) reduced from all 64 bytes: the bias is below 2⁻²⁵⁰.
 * @returns a scalar in [1, ℓ).
 */
export function hashToScalar(label: string, ...parts: readonly Uint8Array[]): bigint {
  const writer = new Writer().label(label);
  for (const part of parts) writer.sized(part);
  const scalar = modOrder(littleEndian(sha512(writer.finish())));
  assert(scalar !== 0n, 'a hash is not zero modulo the order');
  return scalar;
}

/** Hp(P) = hash_to_ristretto255(P) with our own DST (RFC 9380, appendix B). */
export function hashToPoint(oneTimeKey: Uint8Array): Point {
  return ristretto255_hasher.hashToCurve(oneTimeKey, {
    DST: 'safe/v1/key-image_ristretto255_XMD:SHA-512_R255MAP_RO_',
  });
}

/** scalar·G, 32 bytes; the multiplication is noble's constant-time ladder. */
export const publicPoint = (scalar: bigint): Uint8Array => G.multiply(scalar).toBytes();

/**
 * I = p·Hp(P), computed as (p − t)·Hp(P) + t·Hp(P), so the curve code never processes p itself.
 * @param blind 32 fresh bytes, from which t is derived.
 */
export function keyImageOf(secret: bigint, oneTimeKey: Uint8Array, blind: Uint8Array): Uint8Array {
  const base = hashToPoint(oneTimeKey);
  const t = hashToScalar('safe/v1/key-image/blind', blind, encodeScalar(secret), oneTimeKey);
  const rest = modOrder(secret - t);
  if (rest === 0n) return base.multiply(secret).toBytes();
  return base.multiply(rest).add(base.multiply(t)).toBytes();
}

/** s·A + c·B for public values (not constant-time). */
export const combinePoints = (s: bigint, A: Point, c: bigint, B: Point): Point =>
  A.multiplyUnsafe(s).add(B.multiplyUnsafe(c));

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}
