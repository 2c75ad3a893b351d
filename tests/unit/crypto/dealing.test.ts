/**
 * Goal: a dealing that verifies gives every receiver its share, a dealing changed anywhere does not
 * verify, and a cheating dealer is detected or proven.
 * Method: one dealing with the real curves, changed byte by byte in every field; dealers that cheat
 * in the ways the construction excludes; frozen bytes.
 */
import { ristretto255 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { blsCombine, blsPublicKey, blsScalars, blsSign, blsVerify } from '#crypto/bls.ts';
import { blsDealings as suite } from '#crypto/dealing/dealing-suite.ts';
import {
  DEALING_BYTES,
  decodeDealing,
  encodeDealing,
  OPENED_ROUNDS,
  ROUNDS,
  type DealingParts,
} from '#crypto/dealing/dealing-layout.ts';
import { sha256 } from '#crypto/hash.ts';
import { toyDealings } from '../../sim/toys/toy-dealing.ts';
import vectors from '../../vectors/dkg.json' with { type: 'json' };

const binding = sha256(utf8('binding'));
const secrets = Array.from({ length: 7 }, (_, i) =>
  suite.toSharingSecret(sha256(utf8(`receiver ${i + 1}`))),
);
const keys = secrets.map(suite.sharingKey);
const dealing = suite.deal(binding, keys, sha256(utf8('seed')));
const parts = must(decodeDealing(dealing));

describe('an honest dealing', () => {
  test('N15: C(144, 48) rounds exceed 2^128', () => {
    let subsets = 1n;
    for (let i = 0n; i < BigInt(OPENED_ROUNDS); i++) {
      subsets = (subsets * (BigInt(ROUNDS) - i)) / (i + 1n);
    }
    expect(subsets > 1n << 128n).toBe(true);
  });

  test('verifies, has the size of its layout, and is frozen', () => {
    expect(suite.verify(binding, keys, dealing)).toBe(true);
    expect(dealing.length).toBe(DEALING_BYTES);
    expect(DEALING_BYTES).toBeLessThan(48 * 1024);
    expect(toHex(sha256(dealing))).toBe(vectors.dealing);
  });

  test('N17: every receiver decrypts its share, which matches the public one; five of them sign', () => {
    const { key, publicShares } = must(suite.sumDealings([dealing]));
    const shares = secrets.map((secret, at) =>
      must(suite.decryptShare(binding, at + 1, secret, dealing)),
    );
    for (const [at, share] of shares.entries()) {
      expect(blsPublicKey(share)).toEqual(publicShares[at]);
    }
    const message = utf8('hello');
    const signed = shares
      .slice(2)
      .map((share, at) => ({ index: at + 3, signature: blsSign(share, 'PROBE', message) }));
    expect(blsVerify(key, 'PROBE', message, must(blsCombine(signed)))).toBe(true);
    expect(blsVerify(key, 'PROBE', message, must(blsCombine(signed.slice(1))))).toBe(false);
  });

  test('dealings add up: keys, public shares and shares', () => {
    const other = suite.deal(binding, keys, sha256(utf8('other seed')));
    const { key, publicShares } = must(suite.sumDealings([dealing, other]));
    const share = suite.sumShares(
      [dealing, other].map((each) => must(suite.decryptShare(binding, 5, must(secrets[4]), each))),
    );
    expect(blsPublicKey(share)).toEqual(publicShares[4]);
    expect(key).not.toEqual(must(suite.sumDealings([dealing])).key);
    expect(suite.sumDealings([])).toBeUndefined();
  });

  test('a wrong secret decrypts no share', () => {
    expect(suite.decryptShare(binding, 1, must(secrets[1]), dealing)).toBeUndefined();
    expect(suite.decryptShare(sha256(binding), 1, must(secrets[0]), dealing)).toBeUndefined();
  });
});

describe('N14, N16: verification fails', () => {
  test('under another binding, for other keys, or for the same keys in another order', () => {
    expect(suite.verify(sha256(binding), keys, dealing)).toBe(false);
    const [a, b, ...rest] = keys;
    expect(suite.verify(binding, [must(b), must(a), ...rest], dealing)).toBe(false);
    const otherKey = suite.sharingKey(suite.toSharingSecret(utf8('otherKey')));
    expect(suite.verify(binding, [otherKey, ...keys.slice(1)], dealing)).toBe(false);
    expect(suite.verify(binding, [new Uint8Array(32), ...keys.slice(1)], dealing)).toBe(false);
  });

  const opened = parts.rounds.findIndex(({ kind }) => kind === 'opened');
  const unopened = parts.rounds.findIndex(({ kind }) => kind === 'unopened');
  const flip = (bytes: Uint8Array): Uint8Array =>
    bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));
  const round = (j: number, edit: (each: never) => object): DealingParts => ({
    ...parts,
    rounds: parts.rounds.map((each, at) =>
      at === j ? ({ ...each, ...edit(each as never) } as never) : each,
    ),
  });
  type Open = { readonly e: readonly Uint8Array[]; readonly z: readonly Uint8Array[] } & Record<
    string,
    Uint8Array
  >;
  const changes: readonly (readonly [string, DealingParts])[] = [
    ['A', { ...parts, A: [must(parts.A[1]), ...parts.A.slice(1)] }],
    ['C', { ...parts, C: [...parts.C.slice(0, 4), must(parts.C[0])] }],
    ['A and C in another order', { ...parts, A: swap(parts.A), C: swap(parts.C) }],
    ['an opened seed', round(opened, (each: Open) => ({ seed: flip(must(each['seed'])) }))],
    ['a hash of z', round(opened, (each: Open) => ({ zHash: flip(must(each['zHash'])) }))],
    ['a seed hash', round(unopened, (each: Open) => ({ seedHash: flip(must(each['seedHash'])) }))],
    ['T', round(unopened, (each: Open) => ({ T: flip(must(each['T'])) }))],
    [
      'a ciphertext',
      round(unopened, (each: Open) => ({ e: [flip(must(each.e[0])), ...each.e.slice(1)] })),
    ],
    ['z', round(unopened, (each: Open) => ({ z: [flip(must(each.z[0])), ...each.z.slice(1)] }))],
    [
      'z beyond the order',
      round(unopened, (each: Open) => ({ z: [new Uint8Array(32).fill(255), ...each.z.slice(1)] })),
    ],
  ];
  test.each(changes)('with another %s', (_, changed) => {
    expect(suite.verify(binding, keys, encodeDealing(changed))).toBe(false);
  });

  test('with an identity, a point outside the subgroup, or bytes that encode no point', () => {
    const infinity = Uint8Array.of(0xc0, ...new Uint8Array(47));
    // A point on the curve (x = 4) whose order is not r.
    const outside = Uint8Array.of(0x80, ...new Uint8Array(46), 4);
    for (const point of [infinity, outside, new Uint8Array(48).fill(255)]) {
      const changed = encodeDealing({ ...parts, A: [point, ...parts.A.slice(1)] });
      expect(suite.verify(binding, keys, changed)).toBe(false);
    }
  });

  test('truncated, extended, or with another number of opened rounds', () => {
    expect(suite.verify(binding, keys, dealing.slice(1))).toBe(false);
    expect(suite.verify(binding, keys, new Uint8Array([...dealing, 0]))).toBe(false);
    const more = dealing.map((byte, at) => (at >= 720 && at < 738 ? 255 : byte));
    expect(suite.verify(binding, keys, more)).toBe(false);
  });
});

describe('N17: a ciphertext without a valid share', () => {
  // A dealer that guessed the opened rounds: every unopened ciphertext of receiver 3 is wrong.
  const cheat = encodeDealing({
    ...parts,
    rounds: parts.rounds.map((each) =>
      each.kind === 'opened'
        ? each
        : { ...each, e: each.e.map((e, at) => (at === 2 ? blsScalars.reduce(sha256(e)) : e)) },
    ),
  });
  const third = must(secrets[2]);

  test('can be proven by its receiver; a valid ciphertext cannot', () => {
    expect(suite.decryptShare(binding, 3, third, cheat)).toBeUndefined();
    const proof = must(suite.proveUndecryptable(binding, 3, third, cheat));
    expect(suite.verifyUndecryptable(binding, 3, must(keys[2]), cheat, proof)).toBe(true);
    expect(suite.verifyUndecryptable(binding, 3, must(keys[2]), dealing, proof)).toBe(false);
    expect(suite.verifyUndecryptable(binding, 3, must(keys[1]), cheat, proof)).toBe(false);
    expect(suite.verifyUndecryptable(binding, 2, must(keys[2]), cheat, proof)).toBe(false);
    const changed = proof.map((byte, at) => (at === 40 ? byte ^ 1 : byte));
    expect(suite.verifyUndecryptable(binding, 3, must(keys[2]), cheat, changed)).toBe(false);
    expect(suite.proveUndecryptable(binding, 3, third, dealing)).toBeUndefined();
  });

  test('two proofs with one T use two nonces: one nonce with two challenges would reveal the secret', () => {
    // Another dealing with the same points, invalid for another receiver as well.
    const another = encodeDealing({
      ...must(decodeDealing(cheat)),
      rounds: must(decodeDealing(cheat)).rounds.map((each) =>
        each.kind === 'opened'
          ? each
          : { ...each, e: each.e.map((e, at) => (at === 1 ? blsScalars.reduce(sha256(e)) : e)) },
      ),
    });
    const Y = ristretto255.Point.fromBytes(must(keys[2]));
    const toScalar = (bytes: Uint8Array): bigint =>
      bytes.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n);
    const nonces = [cheat, another].map((each) => {
      const proof = must(suite.proveUndecryptable(binding, 3, third, each));
      const [c, s] = [toScalar(proof.slice(33, 65)), toScalar(proof.slice(65, 97))];
      return toHex(ristretto255.Point.BASE.multiply(s).subtract(Y.multiply(c)).toBytes());
    });
    expect(nonces[0]).not.toBe(nonces[1]);
  });

  const last = parts.rounds.findLastIndex(({ kind }) => kind === 'unopened');
  const good = must(decodeDealing(cheat));
  const repaired = encodeDealing({
    ...good,
    rounds: good.rounds.map((each, at) => (at === last ? must(parts.rounds[last]) : each)),
  });

  test('every unopened round is tried: one valid round is enough', () => {
    expect(suite.decryptShare(binding, 3, third, repaired)).toEqual(
      suite.decryptShare(binding, 3, third, dealing),
    );
  });

  test('planted bug, N17: a receiver that tries only the first unopened round finds no share', () => {
    /** All rounds contain the first round's ciphertexts, which do not match the other pads. */
    const openFirst: typeof suite.decryptShare = (bound, receiver, secret, given) => {
      const read = must(decodeDealing(given));
      const first = must(read.rounds.find(({ kind }) => kind === 'unopened'));
      const rounds = read.rounds.map((each) =>
        each.kind === 'opened' || first.kind === 'opened' ? each : { ...each, e: first.e },
      );
      return suite.decryptShare(bound, receiver, secret, encodeDealing({ ...read, rounds }));
    };
    // On an honest dealing the bug has no effect.
    expect(openFirst(binding, 3, third, dealing)).toEqual(
      suite.decryptShare(binding, 3, third, dealing),
    );
    expect(openFirst(binding, 3, third, repaired)).toBeUndefined();
  });
});

test('the simulator’s toy suite accepts and rejects the same dealings', () => {
  const toySecrets = secrets.map((secret) => toyDealings.toSharingSecret(secret));
  const toyKeys = toySecrets.map(toyDealings.sharingKey);
  const toy = toyDealings.deal(binding, toyKeys, sha256(utf8('seed')));
  expect(toyDealings.verify(binding, toyKeys, toy)).toBe(true);
  expect(toyDealings.verify(sha256(binding), toyKeys, toy)).toBe(false);
  expect(toyDealings.decryptShare(binding, 3, must(toySecrets[2]), toy)).toBeDefined();
  expect(toyDealings.decryptShare(binding, 3, must(toySecrets[3]), toy)).toBeUndefined();
});

function swap<T>(list: readonly T[]): readonly T[] {
  const [a, b, ...rest] = list;
  return [must(b), must(a), ...rest];
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}
