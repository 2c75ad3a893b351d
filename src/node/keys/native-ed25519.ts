/**
 * Ed25519 by Node's own OpenSSL, ten to fifty times faster than JavaScript: for making keys by the
 * thousand, signing a receipt per chunk, and elders that verify adults. A node that decides for
 * others (a client) verifies strictly with `crypto/ed25519.ts`.
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
import { EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { assert } from '#core/assert.ts';
import { setNewest } from '#core/bounded-collections.ts';
import { concat } from '#core/codec/bytes.ts';
import { matchesGrindingPrefix } from '#protocol/node-age/index.ts';

/** RFC 8410: the fixed bytes before the seed (PKCS #8) and before the public key (SPKI). */
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex');

export const toPrivateKey = (seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(concat(privatePrefix, seed)), format: 'der', type: 'pkcs8' });

export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const der = createPublicKey(toPrivateKey(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(publicPrefix.length));
}

/** A signer that parses its key only once. */
export function createSigner(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const key = toPrivateKey(seed);
  return (message) => new Uint8Array(sign(null, message, key));
}

/** More than the members of a large section. */
export const maxParsedKeys = 256;
const parsedKeys = new Map<string, KeyObject>();

/** Throws for bytes that are not a point. Parsing a key takes twice as long as verifying with it. */
function publicKey(name: Uint8Array): KeyObject {
  const id = Buffer.from(name).toString('latin1');
  const known = parsedKeys.get(id);
  if (known !== undefined) {
    // Evict the least recently used: names are free, while members send again and again.
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
    return false; // Not a point, or not 64 bytes.
  }
}

/** Up to here grinding a name takes 60 ms between other work; longer prefixes get a thread. */
const bitsOnThisThread = 2;

/**
 * A seed whose public key begins with `prefix` and ends with `age`: 256 · 2^bits tries on average,
 * 15 ms without a prefix, four minutes for 14 bits. Yields to the event loop.
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

/** Tries this many keys; null when none matches. */
export function tryIdentities(age: number, prefix: Prefix, tries: number): Uint8Array | null {
  for (let n = 0; n < tries; n++) {
    const seed = new Uint8Array(randomBytes(32));
    const name = publicKeyOf(seed);
    if (matchesGrindingPrefix(prefix, age, name)) return seed;
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
