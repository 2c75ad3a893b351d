/**
 * Ed25519 by Node's own OpenSSL: ten to fifty times faster than JavaScript, for keys that are made
 * by the thousand, receipts that are signed by the chunk, and adults that are checked by elders.
 * Whoever decides for others (a client) verifies strictly with `crypto/ed25519.ts`.
 */
import {
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { assert } from '#core/assert.ts';
import { concat } from '#core/codec/bytes.ts';

/** RFC 8410: the fixed bytes before the seed (PKCS #8) and before the public key (SPKI). */
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex');

export const toPrivateKey = (seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(concat(privatePrefix, seed)), format: 'der', type: 'pkcs8' });

export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const der = createPublicKey(toPrivateKey(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(publicPrefix.length));
}

/** A signer that parses its key once. */
export function createSigner(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const key = toPrivateKey(seed);
  return (message) => new Uint8Array(sign(null, message, key));
}

export function isSignedBy(name: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const der = Buffer.from(concat(publicPrefix, name));
    return verify(
      null,
      message,
      createPublicKey({ key: der, format: 'der', type: 'spki' }),
      signature,
    );
  } catch {
    return false; // Not a point, or not 64 bytes: not a signature.
  }
}

/** Join age 5 for everyone, the genesis elders too (network.md, "Names and ages"). */
export const JOIN_AGE = 5;

/**
 * A seed whose public key ends with `age`: 256 tries on average, about 15 ms.
 * Gives the event loop a turn between batches.
 */
export async function grindIdentity(age: number): Promise<Uint8Array> {
  assert(age >= 0 && age < 256, 'an age is one byte');
  for (;;) {
    for (let tries = 0; tries < 32; tries++) {
      const seed = new Uint8Array(randomBytes(32));
      if (publicKeyOf(seed)[31] === age) return seed;
    }
    await new Promise((turn) => setImmediate(turn));
  }
}
