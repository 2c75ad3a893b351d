/** X25519 (RFC 7748): Diffie–Hellman key agreement. */
import { x25519 } from '@noble/curves/ed25519.js';

const X25519_KEY_BYTES = 32;

/** @returns the 32-byte public key of any 32 secret bytes (clamped by RFC 7748). */
export const x25519PublicKey = (secret: Uint8Array): Uint8Array => x25519.getPublicKey(secret);

/**
 * The Diffie–Hellman secret of a pair.
 * @returns undefined for a low-order public key, whose shared secret would be all zeros.
 */
export function x25519Shared(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== X25519_KEY_BYTES) return undefined;
  try {
    return x25519.getSharedSecret(secret, publicKey);
  } catch {
    return undefined;
  }
}
