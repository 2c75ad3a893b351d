/**
 * BLS12-381 threshold signatures, min-sig: signature 48 B in G1, public key 96 B in G2.
 *
 * Only outputs of hash-to-curve are ever signed, never a point received from a peer (MONEY-C1).
 * Each purpose has its own DST, so a share for one purpose is invalid for any other.
 */
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { assert } from '#core/assert.ts';
import { equalBytes, utf8 } from '#core/codec/bytes.ts';
import { createScalarField, lagrangeAtZero } from './scalar-field.ts';

export const BLS_PUBLIC_KEY_BYTES = 96;
export const BLS_SIGNATURE_BYTES = 48;

/** What a signature is for; part of the DST. */
export type BlsPurpose =
  | 'AUTHORITY'
  | 'GENESIS'
  | 'PREPARE'
  | 'COMMIT'
  | 'CHURN'
  | 'RELOCATION'
  | 'READY'
  | 'SUCCESSOR'
  | 'BATCH'
  | 'BEACON'
  | 'PROBE';

/** One elder's signature with the index (1…n) of its share. */
export interface SignatureShare {
  readonly index: number;
  readonly signature: Uint8Array;
}

const { shortSignatures } = bls12_381;
const G1 = bls12_381.G1.Point;
const G2 = bls12_381.G2.Point;
type G1Point = InstanceType<typeof G1>;
type G2Point = InstanceType<typeof G2>;

/** Fr: the integers modulo r, the order of G1 and G2. Scalars are 32 bytes big-endian. */
export const blsScalars = createScalarField(bls12_381.fields.Fr.ORDER);

/** @returns secret·g₂, 96 bytes compressed. */
export function blsPublicKey(secret: Uint8Array): Uint8Array {
  return G2.BASE.multiply(nonZero(secret)).toBytes();
}

/** @returns secret·H(message), 48 bytes compressed, H with the purpose's own DST (RFC 9380). */
export function blsSign(secret: Uint8Array, purpose: BlsPurpose, message: Uint8Array): Uint8Array {
  return hashToG1(purpose, message).multiply(nonZero(secret)).toBytes();
}

/**
 * e(signature, g₂) = e(H(message), publicKey). False for the identity, points off the curve or
 * outside the subgroup and any other mismatch; never throws.
 */
export function blsVerify(
  publicKey: Uint8Array,
  purpose: BlsPurpose,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifyUnderDst(publicKey, dstOf(purpose), message, signature);
}

/** {@link blsVerify} under any DST, to test this code with external vectors. */
export function verifyUnderDst(
  publicKey: Uint8Array,
  dst: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = decodeG2(publicKey);
  const point = decodeG1(signature);
  if (key === undefined || point === undefined) return false;
  try {
    return shortSignatures.verify(point, shortSignatures.hash(message, utf8(dst)), key);
  } catch {
    return false;
  }
}

/**
 * Σ λᵢ·shareᵢ with the Lagrange coefficients at 0: the section's signature, if every share is
 * valid. Shares are not verified: verify the result, and each share only if that fails.
 * @returns undefined for no shares, a repeated index, an index outside 1…255 or a bad point.
 */
export function blsCombine(shares: readonly SignatureShare[]): Uint8Array | undefined {
  const coefficients = lagrangeAtZero(
    blsScalars,
    shares.map(({ index }) => index),
  );
  if (coefficients === undefined) return undefined;
  let sum = G1.ZERO;
  for (const [at, share] of shares.entries()) {
    const point = decodeG1(share.signature);
    const coefficient = coefficients[at];
    if (point === undefined || coefficient === undefined) return undefined;
    sum = sum.add(point.multiplyUnsafe(coefficient));
  }
  return sum.is0() ? undefined : sum.toBytes();
}

/**
 * Σ λᵢ·keyᵢ with the Lagrange coefficients at `at`: the public share of index `at` (0 = the section
 * key itself), by the given public shares.
 */
export function interpolatePublicKey(
  shares: readonly { readonly index: number; readonly key: Uint8Array }[],
  at: number,
): Uint8Array | undefined {
  const coefficients = blsScalars.lagrange(
    shares.map(({ index }) => index),
    at,
  );
  if (coefficients === undefined) return undefined;
  let sum = G2.ZERO;
  for (const [i, share] of shares.entries()) {
    const point = decodeG2(share.key);
    const coefficient = coefficients[i];
    if (point === undefined || coefficient === undefined) return undefined;
    sum = sum.add(multiplyG2(point, coefficient));
  }
  return sum.is0() ? undefined : sum.toBytes();
}

const multiplyG2 = (point: G2Point, scalar: bigint): G2Point =>
  scalar === 0n || point.is0() ? G2.ZERO : point.multiplyUnsafe(scalar);

const hashToG1 = (purpose: BlsPurpose, message: Uint8Array): G1Point =>
  shortSignatures.hash(message, utf8(dstOf(purpose)));

const dstOf = (purpose: BlsPurpose): string => `SAFE-V1-${purpose}_BLS12381G1_XMD:SHA-256_SSWU_RO_`;

function nonZero(secret: Uint8Array): bigint {
  const scalar = blsScalars.decode(secret);
  assert(scalar !== undefined && scalar !== 0n, 'a BLS secret is 32 bytes, in [1, r)');
  return scalar;
}

export function decodeG1(bytes: Uint8Array): G1Point | undefined {
  if (bytes.length !== BLS_SIGNATURE_BYTES) return undefined;
  try {
    const point = G1.fromBytes(bytes);
    point.assertValidity(); // On the curve, in the subgroup, not the identity.
    return !point.is0() && equalBytes(point.toBytes(), bytes) ? point : undefined;
  } catch {
    return undefined;
  }
}

export function decodeG2(bytes: Uint8Array): G2Point | undefined {
  if (bytes.length !== BLS_PUBLIC_KEY_BYTES) return undefined;
  try {
    const point = G2.fromBytes(bytes);
    point.assertValidity();
    return !point.is0() && equalBytes(point.toBytes(), bytes) ? point : undefined;
  } catch {
    return undefined;
  }
}
