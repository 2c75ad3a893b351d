/**
 * Goal: our primitives agree with other implementations and reject invalid input.
 * Method: external vectors first, then the laws our protocols rely on, then hostile bytes.
 */
import { bls12_381 } from '@noble/curves/bls12-381.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, utf8, Writer } from '#core/codec/bytes.ts';
import {
  blsCombine,
  blsPublicKey,
  blsScalars,
  blsSign,
  blsVerify,
  decodeG2,
  interpolatePublicKey,
  verifyUnderDst,
} from '#crypto/bls.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { hkdf, labelledHash, sha256 } from '#crypto/hash.ts';
import { x25519PublicKey, x25519Shared } from '#crypto/x25519.ts';
import others from '../../vectors/crypto/others.json' with { type: 'json' };

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  if (!bytes.ok) throw new Error(`not hex: ${text}`);
  return bytes.value;
};
const scalar = (label: string): Uint8Array =>
  blsScalars.reduce(hkdf(utf8(label), new Uint8Array(), 'test', 48));
const flip = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

describe('external vectors', () => {
  test.each(others.ed25519)('ed25519: $source', ({ seed, publicKey, message, signature }) => {
    expect(toHex(ed25519PublicKey(hex(seed)))).toBe(publicKey);
    expect(toHex(signEd25519(hex(seed), hex(message)))).toBe(signature);
    expect(verifyEd25519(hex(publicKey), hex(message), hex(signature))).toBe(true);
  });

  test.each(others.hkdf)('HKDF: $source', ({ ikm, salt, info, okm }) => {
    expect(toHex(hkdf(hex(ikm), hex(salt), info, okm.length / 2))).toBe(okm);
  });

  test.each(others.x25519)('X25519: $source', ({ scalar, u, shared }) => {
    expect(toHex(x25519Shared(hex(scalar), hex(u)) ?? new Uint8Array())).toBe(shared);
  });

  test.each(others.hashToG1)('hash to G1: $source', ({ dst, message, x, y }) => {
    const point = bls12_381.shortSignatures.hash(utf8(message), utf8(dst)).toAffine();
    expect(point.x.toString(16).padStart(96, '0')).toBe(x);
    expect(point.y.toString(16).padStart(96, '0')).toBe(y);
  });

  test.each(others.minSig)('BLS min-sig: $source', (vector) => {
    const message = sha256(new Writer().u64(BigInt(vector.round)).finish());
    const signature = hex(vector.signature);
    const publicKey = hex(vector.publicKey);
    expect(toHex(sha256(signature))).toBe(vector.randomness);
    expect(verifyUnderDst(publicKey, vector.dst, message, signature)).toBe(true);
    expect(verifyUnderDst(publicKey, 'ANOTHER_DST', message, signature)).toBe(false);
  });
});

describe('ed25519', () => {
  const seed = sha256(utf8('alice'));
  const publicKey = ed25519PublicKey(seed);
  const message = utf8('hello');
  const signature = signEd25519(seed, message);

  test('every changed bit of a signature is rejected', () => {
    for (let at = 0; at < 64; at++) {
      expect(verifyEd25519(publicKey, message, flip(signature, at))).toBe(false);
    }
  });

  test('s + L, the other encoding of the same s, is rejected', () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let s = 0n;
    for (let i = 63; i >= 32; i--) s = (s << 8n) | BigInt(signature[i] ?? 0);
    const forged = signature.slice();
    for (let i = 32, rest = s + order; i < 64; i++, rest >>= 8n) forged[i] = Number(rest & 255n);
    expect(verifyEd25519(publicKey, message, forged)).toBe(false);
  });

  test('the identity as a key, which would verify any message, is rejected', () => {
    const identity = new Uint8Array(32);
    identity[0] = 1;
    const signed = new Uint8Array(64);
    signed[0] = 1; // R = identity, s = 0: valid under cofactored rules.
    expect(verifyEd25519(identity, message, signed)).toBe(false);
  });

  test('no input makes it throw', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.uint8Array(), (key, text, sig) => {
        expect(verifyEd25519(key, text, sig)).toBe(false);
      }),
      { numRuns: 200 },
    );
    expect(verifyEd25519(new Uint8Array(32).fill(255), message, signature)).toBe(false);
  });
});

describe('labelled hash', () => {
  test('moving a byte from one part to the next changes the hash', () => {
    const one = labelledHash('safe/v1/test', utf8('ab'), utf8('c'));
    expect(labelledHash('safe/v1/test', utf8('a'), utf8('bc'))).not.toEqual(one);
    expect(labelledHash('safe/v1/tes', utf8('t'), utf8('ab'), utf8('c'))).not.toEqual(one);
  });

  test('it is SHA-256 of length-prefixed parts', () => {
    const bytes = new Writer().label('safe/v1/test').sized(utf8('ab')).finish();
    expect(labelledHash('safe/v1/test', utf8('ab'))).toEqual(sha256(bytes));
  });
});

describe('threshold BLS', () => {
  const coefficients = ['a0', 'a1', 'a2', 'a3', 'a4'].map(scalar);
  const sectionKey = blsPublicKey(coefficients[0] ?? new Uint8Array());
  const shares = [1, 2, 3, 4, 5, 6, 7].map((index) => ({
    index,
    secret: blsScalars.evaluate(coefficients, index),
  }));
  const message = utf8('slot 7');
  const signed = shares.map(({ index, secret }) => ({
    index,
    signature: blsSign(secret, 'PREPARE', message),
  }));

  test('any five of seven shares combine to the same signature of the section key', () => {
    const first = blsCombine(signed.slice(0, 5));
    const last = blsCombine([...signed.slice(2)].reverse());
    expect(first).toBeDefined();
    expect(last).toEqual(first);
    expect(blsVerify(sectionKey, 'PREPARE', message, first ?? new Uint8Array())).toBe(true);
    expect(blsVerify(sectionKey, 'COMMIT', message, first ?? new Uint8Array())).toBe(false);
  });

  test('four shares combine to no valid signature', () => {
    const combined = blsCombine(signed.slice(0, 4)) ?? new Uint8Array();
    expect(blsVerify(sectionKey, 'PREPARE', message, combined)).toBe(false);
  });

  test('a repeated index, index 0 and no shares are rejected', () => {
    const [one] = signed;
    if (one === undefined) throw new Error('seven shares');
    expect(blsCombine([...signed.slice(0, 4), one])).toBeUndefined();
    expect(blsCombine([...signed.slice(1, 5), { ...one, index: 0 }])).toBeUndefined();
    expect(blsCombine([])).toBeUndefined();
  });

  test('five public shares interpolate to the section key and to the other shares', () => {
    const keys = shares.map(({ index, secret }) => ({ index, key: blsPublicKey(secret) }));
    expect(interpolatePublicKey(keys.slice(0, 5), 0)).toEqual(sectionKey);
    expect(interpolatePublicKey(keys.slice(0, 5), 7)).toEqual(keys[6]?.key);
  });

  test('identity, wrong subgroup, non-canonical and random bytes are rejected without throwing', () => {
    const signature = blsSign(scalar('a'), 'AUTHORITY', message);
    const key = blsPublicKey(scalar('a'));
    const identityKey = new Uint8Array(96);
    identityKey[0] = 0xc0;
    const identitySignature = new Uint8Array(48);
    identitySignature[0] = 0xc0;
    expect(decodeG2(key)).toBeDefined();
    expect(decodeG2(identityKey)).toBeUndefined();
    expect(blsVerify(identityKey, 'AUTHORITY', message, identitySignature)).toBe(false);
    expect(blsVerify(key, 'AUTHORITY', message, identitySignature)).toBe(false);
    for (const at of [0, 1, 20, 47]) {
      expect(blsVerify(key, 'AUTHORITY', message, flip(signature, at))).toBe(false);
    }
    expect(blsVerify(key, 'AUTHORITY', message, g1OutsideSubgroup())).toBe(false);
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 96, maxLength: 96 }),
        fc.uint8Array({ minLength: 48, maxLength: 48 }),
        (someKey, someSignature) => {
          expect(blsVerify(someKey, 'AUTHORITY', message, signature)).toBe(false);
          expect(blsVerify(key, 'AUTHORITY', message, someSignature)).toBe(false);
        },
      ),
      { numRuns: 50 },
    );
  });

  /** A point on the curve outside the subgroup of order r: almost every x gives one. */
  function g1OutsideSubgroup(): Uint8Array {
    const { Point } = bls12_381.G1;
    for (let x = 1; ; x++) {
      const bytes = new Uint8Array(48);
      bytes[0] = 0x80;
      bytes[47] = x;
      try {
        Point.fromBytes(bytes);
      } catch (error) {
        if (error instanceof Error && /subgroup/.test(error.message)) return bytes;
      }
    }
  }
});

describe('X25519', () => {
  const [one, two] = [sha256(utf8('alice')), sha256(utf8('bob'))];

  test('both ends of a pair derive the same secret', () => {
    const secret = x25519Shared(one, x25519PublicKey(two));
    expect(secret).toBeDefined();
    expect(x25519Shared(two, x25519PublicKey(one))).toEqual(secret);
  });

  test('a low-order public key or one of another length derives none', () => {
    expect(x25519Shared(one, new Uint8Array(32))).toBeUndefined();
    expect(x25519Shared(one, x25519PublicKey(two).slice(1))).toBeUndefined();
  });
});
