/** Goal: OpenSSL's ed25519 and our own agree, and names are ground to the age they carry. */
import { expect, test } from 'vitest';
import { ageOf } from '#address/xor-name.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import {
  createSigner,
  grindIdentity,
  isSignedBy,
  JOIN_AGE,
  publicKeyOf,
} from '#node/native-ed25519.ts';

test('keys and signatures are the same bytes in both', () => {
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

test('a ground identity has age 5 and is fresh each time', async () => {
  const [a, b] = [await grindIdentity(JOIN_AGE), await grindIdentity(JOIN_AGE)];
  expect(ageOf(publicKeyOf(a))).toBe(5);
  expect(a).not.toEqual(b);
});
