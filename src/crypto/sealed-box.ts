/**
 * A sealed box: bytes only the holder of one X25519 key can open.
 * X25519 → HKDF-SHA-256 (salt = both public keys) → AES-256-GCM; after RFC 9180's base mode.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { concat } from '#core/codec/bytes.ts';
import { hkdf } from './hash.ts';

export const X25519_KEY_BYTES = 32;
/** Ephemeral public key and the tag of the cipher. */
export const SEALED_OVERHEAD_BYTES = 32 + 16;

/** @returns the 32-byte public key of any 32 secret bytes (clamped as RFC 7748 says). */
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

/**
 * Seals `plaintext` to a recipient. `ephemeralSecret` must be fresh for every box: the nonce is
 * fixed, because a key made of it is used exactly once.
 * @param info the domain label and everything the box must be bound to.
 * @returns ephemeral public key ‖ ciphertext ‖ tag; undefined when the recipient's key is invalid.
 */
export function sealTo(
  recipientPublicKey: Uint8Array,
  ephemeralSecret: Uint8Array,
  info: string,
  plaintext: Uint8Array,
): Uint8Array | undefined {
  const shared = x25519Shared(ephemeralSecret, recipientPublicKey);
  if (shared === undefined) return undefined;
  const ephemeral = x25519PublicKey(ephemeralSecret);
  const cipher = gcm(boxKey(shared, ephemeral, recipientPublicKey, info), oneNonce());
  return concat(ephemeral, cipher.encrypt(plaintext));
}

/** @returns the plaintext, undefined when this key does not open the box; never throws. */
export function openSealed(
  recipientSecret: Uint8Array,
  info: string,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < SEALED_OVERHEAD_BYTES) return undefined;
  const shared = x25519Shared(recipientSecret, sealed.slice(0, X25519_KEY_BYTES));
  if (shared === undefined) return undefined;
  const recipient = x25519PublicKey(recipientSecret);
  const key = boxKey(shared, sealed.slice(0, X25519_KEY_BYTES), recipient, info);
  try {
    return gcm(key, oneNonce()).decrypt(sealed.slice(X25519_KEY_BYTES));
  } catch {
    return undefined;
  }
}

const boxKey = (
  shared: Uint8Array,
  ephemeral: Uint8Array,
  recipient: Uint8Array,
  info: string,
): Uint8Array => hkdf(shared, concat(ephemeral, recipient), `safe/v1/sealed-box/${info}`, 32);

/** Twelve zero bytes: every key is used for one message only. */
const oneNonce = (): Uint8Array => new Uint8Array(12);
