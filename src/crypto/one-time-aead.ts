/**
 * ChaCha20-Poly1305 (RFC 8439) under a key that encrypts exactly one message: the nonce is zero.
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { assert } from '#core/assert.ts';

export const AEAD_TAG_BYTES = 16;
const keyBytes = 32;
const zeroNonce = (): Uint8Array => new Uint8Array(12);

/** @param key 32 bytes, derived for this message only. @returns ciphertext ‖ tag. */
export function encryptOnce(key: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  assert(key.length === keyBytes, 'a key has 32 bytes');
  return chacha20poly1305(key, zeroNonce(), aad).encrypt(plaintext);
}

/** @returns the plaintext, undefined when key, aad or bytes do not match; never throws. */
export function decryptOnce(
  key: Uint8Array,
  aad: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  assert(key.length === keyBytes, 'a key has 32 bytes');
  try {
    return chacha20poly1305(key, zeroNonce(), aad).decrypt(ciphertext);
  } catch {
    return undefined;
  }
}
