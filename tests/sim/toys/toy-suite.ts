/**
 * A threshold scheme for the simulator: the same algebra as BLS (linear in the secret, true
 * Lagrange interpolation), microseconds instead of tens of milliseconds, and no security.
 *
 * A toy public key *is* its secret, in 96 bytes; a toy signature is secret·H(m) mod p, in 48. The
 * simulator's liars change messages but do not compute secrets, so for them it is unforgeable.
 */
import { labelledHash } from '#crypto/hash.ts';
import { createScalarField } from '#crypto/scalar-field.ts';
import type { BlsPurpose } from '#crypto/bls.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { concat, equalBytes, utf8 } from '#core/codec/bytes.ts';

/** A Mersenne prime: large enough to avoid collisions, small enough to be fast. */
export const toyScalars = createScalarField((1n << 61n) - 1n);

const keyBytes = 96;
const signatureBytes = 48;

export const toySuite: ThresholdSuite = {
  publicKey: (secret) => pad(secret, keyBytes),

  sign: (secretShare, purpose, message) => {
    const secret = number(secretShare);
    return pad(
      toyScalars.encode(toyScalars.mod(secret * digest(purpose, message))),
      signatureBytes,
    );
  },

  verify: (publicKey, purpose, message, signature) => {
    const secret = unpad(publicKey, keyBytes);
    const given = unpad(signature, signatureBytes);
    if (secret === undefined || given === undefined || given === 0n) return false;
    return given === toyScalars.mod(secret * digest(purpose, message));
  },

  combine: (shares) => {
    const values = shares.map(({ index, signature }) => ({
      index,
      value: unpad(signature, signatureBytes),
    }));
    const sum = weigh(values, 0);
    return sum === undefined ? undefined : pad(toyScalars.encode(sum), signatureBytes);
  },

  interpolate: (shares, at) => {
    const values = shares.map(({ index, key }) => ({ index, value: unpad(key, keyBytes) }));
    const sum = weigh(values, at);
    return sum === undefined ? undefined : pad(toyScalars.encode(sum), keyBytes);
  },
};

/** Node signatures of 64 bytes that any node could forge but no liar here does. */
export const toyIdentitySuite: IdentitySuite = {
  sign: (seed, message) => toySignature(toyIdentity(seed), message),
  verify: (name, message, signature) => equalBytes(toySignature(name, message), signature),
};

/** The public key, and so the name, of a toy identity. */
export const toyIdentity = (seed: Uint8Array): Uint8Array => labelledHash('safe/toy/name', seed);

function toySignature(name: Uint8Array, message: Uint8Array): Uint8Array {
  const half = labelledHash('safe/toy/signature', name, message);
  return concat(half, half);
}

function weigh(
  values: readonly { readonly index: number; readonly value: bigint | undefined }[],
  at: number,
): bigint | undefined {
  const coefficients = toyScalars.lagrange(
    values.map(({ index }) => index),
    at,
  );
  if (coefficients === undefined) return undefined;
  let sum = 0n;
  for (const [i, { value }] of values.entries()) {
    if (value === undefined) return undefined;
    sum = toyScalars.mod(sum + value * (coefficients[i] ?? 0n));
  }
  return sum === 0n ? undefined : sum;
}

/** H(purpose, m), never zero. */
function digest(purpose: BlsPurpose, message: Uint8Array): bigint {
  const hash = labelledHash('safe/toy/hash', utf8(purpose), message);
  return toyScalars.mod(number(toyScalars.reduce(hash)) - 1n) + 1n;
}

function number(scalar: Uint8Array): bigint {
  const value = toyScalars.decode(scalar);
  if (value === undefined) throw new Error('a toy scalar is 32 bytes below the order');
  return value;
}

export const pad = (scalar: Uint8Array, length: number): Uint8Array =>
  concat(new Uint8Array(length - scalar.length), scalar);

/** The number in `length` bytes; undefined for another length, zero or a value ≥ p. */
export function unpad(bytes: Uint8Array, length: number): bigint | undefined {
  if (bytes.length !== length) return undefined;
  const head = length - 32;
  if (!equalBytes(bytes.slice(0, head), new Uint8Array(head))) return undefined;
  const value = toyScalars.decode(bytes.slice(head));
  return value === 0n ? undefined : value;
}
