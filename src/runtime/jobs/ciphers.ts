/**
 * The ciphers of files and of the Safe's index, by WebCrypto: browser workers and Node alike.
 * What is sealed with which key is decided in `data/` and `safe/`; here it is only done.
 */
import { verifyEd25519 } from '#crypto/ed25519.ts';
import type { SealKey } from '#data/self-encryption.ts';

/** TypeScript tells shared from plain buffers; everything here is backed by a plain one. */
const plain = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>;

const noContext = new Uint8Array();

/**
 * AES-256-GCM.
 * @param context bytes that must be the same when opening; not stored
 * @returns ciphertext ‖ 16-byte tag
 */
export async function seal(
  { key, nonce }: SealKey,
  bytes: Uint8Array,
  context: Uint8Array = noContext,
): Promise<Uint8Array> {
  const imported = await importAes(key, 'encrypt');
  const parameters = { name: 'AES-GCM', iv: plain(nonce), additionalData: plain(context) };
  return new Uint8Array(await crypto.subtle.encrypt(parameters, imported, plain(bytes)));
}

/** @returns the plain bytes, or `null` when key, context or a single bit is not the one sealed. */
export async function open(
  { key, nonce }: SealKey,
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

/** Seals under a long-lived key: the nonce is random and travels in front. */
export async function sealWithNonce(
  key: Uint8Array,
  nonce: Uint8Array,
  bytes: Uint8Array,
  context: Uint8Array,
): Promise<Uint8Array> {
  const sealed = await seal({ key, nonce }, bytes, context);
  const whole = new Uint8Array(nonce.length + sealed.length);
  whole.set(nonce);
  whole.set(sealed, nonce.length);
  return whole;
}

/** Opens what {@link sealWithNonce} made; `null` as for {@link open}. */
export async function openWithNonce(
  key: Uint8Array,
  whole: Uint8Array,
  context: Uint8Array,
): Promise<Uint8Array | null> {
  if (whole.length < 12 + 16) return null;
  return open({ key, nonce: whole.slice(0, 12) }, whole.slice(12), context);
}

/** SHA-256 by the platform: ten times the speed of JavaScript on pieces of 1 MiB. */
export async function sha256Fast(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', plain(bytes)));
}

/**
 * Ed25519 by the platform where it has it (fast, and off this thread), else by noble. For checks
 * whose outcome concerns the asker alone, such as storage receipts: platforms and noble differ on
 * contrived keys and signatures with a small-order part, so what several programs must agree on
 * goes through `crypto/ed25519.ts`.
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

/** Takes a copy at once: the key may be wiped while the platform is still at work with it. */
async function importAes(key: Uint8Array, use: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  const copy = key.slice();
  try {
    return await crypto.subtle.importKey('raw', plain(copy), 'AES-GCM', false, [use]);
  } finally {
    copy.fill(0);
  }
}
