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
import { Worker } from 'node:worker_threads';
import { EMPTY_PREFIX, matches, type Prefix } from '#address/prefix.ts';
import { assert } from '#core/assert.ts';
import { setNewest } from '#core/bounded.ts';
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

/** More than the members of a large section. */
export const maxParsedKeys = 256;
const parsedKeys = new Map<string, KeyObject>();

/** Throws for what is no point. Parsing a key takes twice as long as checking a signature with it. */
function publicKey(name: Uint8Array): KeyObject {
  const id = Buffer.from(name).toString('latin1');
  const known = parsedKeys.get(id);
  if (known !== undefined) {
    // The one not used for longest goes first: names are free, and members speak again and again.
    setNewest(parsedKeys, id, known, maxParsedKeys);
    return known;
  }
  const der = Buffer.from(concat(publicPrefix, name));
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  setNewest(parsedKeys, id, key, maxParsedKeys);
  return key;
}

export function isSignedBy(name: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(null, message, publicKey(name), signature);
  } catch {
    return false; // Not a point, or not 64 bytes: not a signature.
  }
}

/** Join age 5 for everyone, the genesis elders too (network.md, "Names and ages"). */
export const JOIN_AGE = 5;

/** Up to here a name is found in 60 ms, between other work; longer prefixes get a thread. */
const bitsOnThisThread = 2;

/**
 * A seed whose public key begins with `prefix` and ends with `age`: 256 · 2^bits tries on average,
 * 15 ms for no prefix, four minutes for 14 bits. Gives the event loop its turns.
 */
export async function grindIdentity(
  age: number,
  prefix: Prefix = EMPTY_PREFIX,
): Promise<Uint8Array> {
  assert(age >= 0 && age < 256, 'an age is one byte');
  if (prefix.bitCount > bitsOnThisThread) return grindInThread(age, prefix);
  for (;;) {
    const seed = tryIdentities(age, prefix, 32);
    if (seed !== null) return seed;
    await new Promise((turn) => setImmediate(turn));
  }
}

/** Tries so many keys; null when none fits. */
export function tryIdentities(age: number, prefix: Prefix, tries: number): Uint8Array | null {
  for (let n = 0; n < tries; n++) {
    const seed = new Uint8Array(randomBytes(32));
    const name = publicKeyOf(seed);
    if (name[31] === age && matches(prefix, name)) return seed;
  }
  return null;
}

function grindInThread(age: number, prefix: Prefix): Promise<Uint8Array> {
  const { bitCount, bits } = prefix;
  const worker = new Worker(new URL('./grind-thread.ts', import.meta.url), {
    workerData: { age, bitCount, bits },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', (seed: Uint8Array) => resolve(seed));
    worker.once('error', reject);
  });
}
