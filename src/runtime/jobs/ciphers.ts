/**
 * The ciphers of files and of the Safe's index, by WebCrypto, in browser workers and in Node. `data/` and
 * `safe/` choose keys and plaintexts.
 */
import { verifyEd25519 } from '#crypto/ed25519.ts';
import type { PieceKey } from '#data/self-encryption.ts';

/** TypeScript distinguishes shared from plain buffers; all bytes here are in plain ones. */
const plain = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>;

const noContext = new Uint8Array();

/**
 * AES-256-GCM.
 * @param context additional authenticated data; not stored
 * @returns ciphertext ‖ 16-byte tag
 */
export async function encrypt(
  { key, nonce }: PieceKey,
  bytes: Uint8Array,
  context: Uint8Array = noContext,
): Promise<Uint8Array> {
  const imported = await importAes(key, 'encrypt');
  const parameters = { name: 'AES-GCM', iv: plain(nonce), additionalData: plain(context) };
  return new Uint8Array(await crypto.subtle.encrypt(parameters, imported, plain(bytes)));
}

/** @returns the plaintext, or `null` when key, context or a single bit is wrong. */
export async function decrypt(
  { key, nonce }: PieceKey,
  bytes: Uint8Array,
  context: Uint8Array = noContext,
): Promise<Uint8Array | null> {
  const imported = await importAes(key, 'decrypt');
  const parameters = { name: 'AES-GCM', iv: plain(nonce), additionalData: plain(context) };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(parameters, imported, plain(bytes)));
  } catch {
    return null;
  }
}

/** Encrypts under a long-lived key: the nonce is random and is prepended. */
export async function encryptWithNonce(
  key: Uint8Array,
  nonce: Uint8Array,
  bytes: Uint8Array,
  context: Uint8Array,
): Promise<Uint8Array> {
  const sealed = await encrypt({ key, nonce }, bytes, context);
  const whole = new Uint8Array(nonce.length + sealed.length);
  whole.set(nonce);
  whole.set(sealed, nonce.length);
  return whole;
}

/** Decrypts the output of {@link encryptWithNonce}; `null` as for {@link decrypt}. */
export async function decryptWithNonce(
  key: Uint8Array,
  whole: Uint8Array,
  context: Uint8Array,
): Promise<Uint8Array | null> {
  if (whole.length < 12 + 16) return null;
  return decrypt({ key, nonce: whole.slice(0, 12) }, whole.slice(12), context);
}

/** SHA-256 by the platform: ten times as fast as JavaScript on pieces of 1 MiB. */
export async function sha256Fast(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', plain(bytes)));
}

/**
 * Ed25519 by the platform where available (fast, and off this thread), else by noble. Only for checks whose
 * outcome concerns this client alone, such as storage receipts: platforms and noble differ on contrived
 * keys and signatures with a small-order part, so checks that programs must agree on use
 * `crypto/ed25519.ts`.
 */
export async function verifyEd25519Fast(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey('raw', plain(publicKey), 'Ed25519', false, ['verify']);
  } catch {
    return verifyEd25519(publicKey, message, signature);
  }
  return crypto.subtle.verify('Ed25519', key, plain(signature), plain(message));
}

/** Copies the key immediately: it may be wiped while the platform still uses it. */
async function importAes(key: Uint8Array, use: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  const copy = key.slice();
  try {
    return await crypto.subtle.importKey('raw', plain(copy), 'AES-GCM', false, [use]);
  } finally {
    copy.fill(0);
  }
}
