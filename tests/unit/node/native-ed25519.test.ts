/** Goal: OpenSSL's ed25519 and our own agree, and names are ground to their age. */
import { expect, test } from 'vitest';
import { ageOf } from '#address/xor-name.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import {
  createSigner,
  grindIdentity,
  isSignedBy,
  maxParsedKeys,
  publicKeyOf,
} from '#node/keys/native-ed25519.ts';
import { JOIN_AGE } from '#protocol/node-age/index.ts';

test('keys and signatures are identical in both', () => {
  const seed = Uint8Array.from({ length: 32 }, (_, i) => i);
  const message = Uint8Array.of(1, 2, 3);
  expect(publicKeyOf(seed)).toEqual(ed25519PublicKey(seed));
  const signature = createSigner(seed)(message);
  expect(signature).toEqual(signEd25519(seed, message));
  expect(verifyEd25519(publicKeyOf(seed), message, signature)).toBe(true);
  expect(isSignedBy(publicKeyOf(seed), message, signature)).toBe(true);
  expect(isSignedBy(publicKeyOf(seed), Uint8Array.of(1), signature)).toBe(false);
  expect(isSignedBy(publicKeyOf(seed), message, new Uint8Array(3))).toBe(false);
  expect(isSignedBy(new Uint8Array(5), message, signature)).toBe(false);
});

test('signatures are distinguished whatever keys were checked before, and however many', () => {
  const signers = Array.from({ length: maxParsedKeys + 10 }, (_, n) => {
    const seed = new Uint8Array(32).fill(n % 256, n < 256 ? 0 : 1);
    return { name: publicKeyOf(seed), sign: createSigner(seed) };
  });
  const message = Uint8Array.of(9);
  for (const turn of [0, 1]) {
    for (const [n, { name, sign }] of signers.entries()) {
      const other = signers[(n + 1) % signers.length];
      expect(isSignedBy(name, message, sign(message)), `${n} in turn ${turn}`).toBe(true);
      expect(isSignedBy(name, message, other?.sign(message) ?? message)).toBe(false);
    }
  }
});

test('a ground identity has age 5 and is new each time', async () => {
  const [a, b] = [await grindIdentity(JOIN_AGE), await grindIdentity(JOIN_AGE)];
  expect(ageOf(publicKeyOf(a))).toBe(5);
  expect(a).not.toEqual(b);
});
