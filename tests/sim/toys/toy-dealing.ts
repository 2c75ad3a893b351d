/**
 * Dealings for the simulator: the algebra of the real ones over the toy field, in microseconds, and
 * without secrecy. A toy sharing key *is* its secret and a commitment *is* its coefficient, so any
 * node checks every ciphertext by decrypting it; a liar's wrong ciphertext is found as surely as by
 * cut and choose.
 *
 * Layout: 5 coefficients ‖ T ‖ 7 ciphertexts ‖ tag over all of it and the binding, 32 bytes each.
 */
import { concat, equalBytes, utf8 } from '#core/codec/bytes.ts';
import type { DealingSuite } from '#crypto/dealing/dealing-suite.ts';
import { labelledHash } from '#crypto/hash.ts';
import { pad, toyScalars } from './toy-suite.ts';

const coefficients = 5;
const receivers = 7;
const fields = coefficients + 1 + receivers + 1;
const keyBytes = 96;

interface Parts {
  readonly f: readonly bigint[];
  readonly T: bigint;
  readonly e: readonly bigint[];
  readonly tag: Uint8Array;
}

export const toyDealings: DealingSuite = {
  toSharingSecret: (entropy) =>
    toyScalars.encode(reduced(labelledHash('safe/toy/secret', entropy))),
  sharingKey: (secret) => secret,
  isSharingKey: (bytes) => (toyScalars.decode(bytes) ?? 0n) !== 0n,

  deal: (binding, keys, seed) => {
    const f = Array.from({ length: coefficients }, (_, k) => draw('coefficient', seed, k));
    const T = draw('ephemeral', seed, 0);
    const e = keys.map((key, at) =>
      toyScalars.mod(evaluate(f, at + 1) + padOf(binding, at + 1, T, number(key))),
    );
    return encode(binding, f, T, e);
  },

  verify: (binding, keys, dealing) => {
    const parts = decode(dealing);
    if (parts === undefined || !equalBytes(dealing, encode(binding, parts.f, parts.T, parts.e))) {
      return false;
    }
    if (parts.f.some((each) => each === 0n)) return false;
    return keys.every((key, at) => {
      const known = toyScalars.decode(key);
      return known !== undefined && shareOf(binding, parts, at + 1, known) !== undefined;
    });
  },

  decryptShare: (binding, receiver, secret, dealing) => {
    const parts = decode(dealing);
    const share =
      parts === undefined ? undefined : shareOf(binding, parts, receiver, number(secret));
    return share === undefined ? undefined : toyScalars.encode(share);
  },

  sumDealings: (dealings) => {
    let sum: readonly bigint[] = Array.from({ length: coefficients }, () => 0n);
    for (const dealing of dealings) {
      const parts = decode(dealing);
      if (parts === undefined) return undefined;
      sum = sum.map((each, k) => toyScalars.mod(each + (parts.f[k] ?? 0n)));
    }
    const values = Array.from({ length: receivers + 1 }, (_, i) => evaluate(sum, i));
    if (values.some((value) => value === 0n)) return undefined;
    const [key = new Uint8Array(), ...publicShares] = values.map((value) =>
      pad(toyScalars.encode(value), keyBytes),
    );
    return { key, publicShares };
  },

  sumShares: toyScalars.sum,

  proveUndecryptable: (binding, receiver, secret, dealing) =>
    toyDealings.decryptShare(binding, receiver, secret, dealing) === undefined ? secret : undefined,

  verifyUndecryptable: (binding, receiver, sharingKey, dealing, proof) => {
    const parts = decode(dealing);
    return (
      parts !== undefined &&
      equalBytes(sharingKey, proof) &&
      shareOf(binding, parts, receiver, number(proof)) === undefined
    );
  },
};

/** A dealing whose ciphertext for one receiver holds another number; its dealer can sign it. */
export function spoilCiphertext(
  binding: Uint8Array,
  dealing: Uint8Array,
  receiver: number,
): Uint8Array {
  const parts = decode(dealing);
  if (parts === undefined) throw new Error('a toy dealing');
  const e = parts.e.map((each, at) => (at + 1 === receiver ? toyScalars.mod(each + 1n) : each));
  return encode(binding, parts.f, parts.T, e);
}

/** A dealing whose commitments are to another polynomial than its ciphertexts. */
export function spoilCommitments(binding: Uint8Array, dealing: Uint8Array): Uint8Array {
  const parts = decode(dealing);
  if (parts === undefined) throw new Error('a toy dealing');
  const f = parts.f.map((each) => toyScalars.mod(each + 7n));
  return encode(binding, f, parts.T, parts.e);
}

function shareOf(binding: Uint8Array, parts: Parts, receiver: number, key: bigint) {
  const pads = padOf(binding, receiver, parts.T, key);
  const share = toyScalars.mod((parts.e[receiver - 1] ?? 0n) - pads);
  return share === evaluate(parts.f, receiver) ? share : undefined;
}

function encode(
  binding: Uint8Array,
  f: readonly bigint[],
  T: bigint,
  e: readonly bigint[],
): Uint8Array {
  const body = concat(...[...f, T, ...e].map(toyScalars.encode));
  return concat(body, labelledHash('safe/toy/dealing', binding, body));
}

function decode(bytes: Uint8Array): Parts | undefined {
  if (bytes.length !== 32 * fields) return undefined;
  const numbers: bigint[] = [];
  for (let at = 0; at < fields - 1; at++) {
    const value = toyScalars.decode(bytes.slice(32 * at, 32 * at + 32));
    if (value === undefined) return undefined;
    numbers.push(value);
  }
  return {
    f: numbers.slice(0, coefficients),
    T: numbers[coefficients] ?? 0n,
    e: numbers.slice(coefficients + 1),
    tag: bytes.slice(-32),
  };
}

const padOf = (binding: Uint8Array, receiver: number, T: bigint, key: bigint): bigint =>
  reduced(
    labelledHash(
      'safe/toy/pad',
      binding,
      Uint8Array.of(receiver),
      toyScalars.encode(toyScalars.mod(T * key)),
    ),
  );

const evaluate = (f: readonly bigint[], at: number): bigint =>
  f.reduceRight((higher, low) => toyScalars.mod(higher * BigInt(at) + low), 0n);

const draw = (what: string, seed: Uint8Array, k: number): bigint =>
  reduced(labelledHash('safe/toy/draw', utf8(what), seed, Uint8Array.of(k)));

const reduced = (bytes: Uint8Array): bigint => number(toyScalars.reduce(bytes));

function number(scalar: Uint8Array): bigint {
  const value = toyScalars.decode(scalar);
  if (value === undefined) throw new Error('a toy scalar is 32 bytes below the order');
  return value;
}
