/** Hashing and key derivation: SHA-256 and HKDF-SHA-256 (RFC 5869), always with a label. */
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { utf8, Writer } from '#core/codec/bytes.ts';

/** @returns 32 bytes. Unlabelled: only for chunk names and layouts that contain their own label. */
export const sha256 = (bytes: Uint8Array): Uint8Array => nobleSha256(bytes);

/**
 * SHA-256(LP(label) ‖ LP(part) …), LP = u32 big-endian length, then the bytes. The length prefixes
 * give different lists of parts different hash inputs.
 */
export function labelledHash(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer().label(label);
  for (const part of parts) writer.sized(part);
  return writer.finishAs(nobleSha256);
}

/**
 * HKDF-SHA-256: extract with `salt`, expand with `info` (UTF-8).
 * @param length bytes wanted, ≤ 8160 (255 blocks).
 */
export function hkdf(ikm: Uint8Array, salt: Uint8Array, info: string, length: number): Uint8Array {
  return nobleHkdf(nobleSha256, ikm, salt, utf8(info), length);
}
