/** A node's files besides its facts and chunks: identity, certificate, key share, counter. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { decodeScalar, encodeScalar, hashToScalar, publicPoint } from '#crypto/ristretto.ts';
import { JOIN_AGE } from '#protocol/node-age/index.ts';
import { readTextFile, replaceFile } from '#storage/node/data-folder.ts';
import { Problem } from '#storage/node/problem.ts';
import { grindIdentity, publicKeyOf } from '../keys/native-ed25519.ts';
import {
  makeRtcCertificate,
  parseRtcCertificate,
  type RtcCertificate,
} from '../keys/rtc-certificate.ts';

export interface NodeIdentity {
  readonly label: string;
  readonly folder: string;
  /** ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array;
  readonly name: Uint8Array;
  /** N12: the long-term key that dealings fall back to; a relocation does not change it. */
  readonly sharing: SharingKeyPair;
}

export interface SharingKeyPair {
  /** A ristretto255 scalar, 32 bytes. */
  readonly secret: Uint8Array;
  /** Its public point, 32 bytes. */
  readonly key: Uint8Array;
}

const identityFile = 'identity.key';
const nextIdentityFile = 'identity.next';
const sharingFile = 'sharing.key';

/** Reads the folder's identity; the first start makes one with age 5, under the prefix if given. */
export async function openIdentity(
  folder: string,
  label: string,
  prefix: Prefix = EMPTY_PREFIX,
): Promise<NodeIdentity> {
  const path = join(folder, identityFile);
  const text = readTextFile(path);
  const sharing = openSharingKey(folder);
  if (text === null) {
    const seed = await grindIdentity(JOIN_AGE, prefix);
    replaceFile(path, `${toHex(seed)}\n`, 0o600);
    return { label, folder, seed, name: publicKeyOf(seed), sharing };
  }
  const seed = parseSeed(text, path);
  chmodSync(path, 0o600);
  return { label, folder, seed, name: publicKeyOf(seed), sharing };
}

function parseSeed(text: string, path: string): Uint8Array {
  const seed = fromHex(text.trim());
  if (!seed.ok || seed.value.length !== 32) throw damaged(path);
  return seed.value;
}

function openSharingKey(folder: string): SharingKeyPair {
  const kept = readSecret(folder, sharingFile);
  if (kept !== null) {
    const scalar = decodeScalar(kept);
    if (scalar === undefined || scalar === 0n) throw damaged(join(folder, sharingFile));
    return { secret: kept, key: publicPoint(scalar) };
  }
  const scalar = hashToScalar('safe/v1/sharing-key', new Uint8Array(randomBytes(64)));
  const secret = encodeScalar(scalar);
  writeSecret(folder, sharingFile, secret);
  return { secret, key: publicPoint(scalar) };
}

/** A relocation in progress: the new name, and the certificate that admits it (N38). */
export interface NextIdentity {
  readonly seed: Uint8Array;
  readonly name: Uint8Array;
  /** The signed relocation certificate, as the section's machine encodes it. */
  readonly certificate: Uint8Array;
}

/**
 * The identity a node relocates to, ground once and kept with the old one until
 * {@link activateNextIdentity}: after a crash the node continues with the same name.
 */
export async function openNextIdentity(
  folder: string,
  certificate: Uint8Array,
  age: number,
  prefix: Prefix,
): Promise<NextIdentity> {
  const kept = readNextIdentity(folder);
  if (kept !== null && equalBytes(kept.certificate, certificate)) return kept;
  const seed = await grindIdentity(age, prefix);
  const text = `${toHex(seed)}\n${toHex(certificate)}\n`;
  replaceFile(join(folder, nextIdentityFile), text, 0o600);
  return { seed, name: publicKeyOf(seed), certificate };
}

/** @returns the relocation in progress, or null. */
export function readNextIdentity(folder: string): NextIdentity | null {
  const path = join(folder, nextIdentityFile);
  const text = readTextFile(path);
  if (text === null) return null;
  const [first = '', second = ''] = text.split('\n');
  const seed = parseSeed(first, path);
  const bytes = fromHex(second);
  if (!bytes.ok) throw damaged(path);
  return { seed, name: publicKeyOf(seed), certificate: bytes.value };
}

/** After the join: the new name becomes the node's name, and the old one is kept in a file. */
export function activateNextIdentity(folder: string): void {
  const next = readNextIdentity(folder);
  if (next === null) return;
  const path = join(folder, identityFile);
  const old = parseSeed(readTextFile(path) ?? '', path);
  // After a crash between these three steps the folder still has a whole identity; repeating is safe.
  if (!equalBytes(old, next.seed)) {
    replaceFile(
      join(folder, `identity-${toHex(publicKeyOf(old)).slice(0, 8)}.old`),
      `${toHex(old)}\n`,
      0o600,
    );
    replaceFile(path, `${toHex(next.seed)}\n`, 0o600);
  }
  rmSync(join(folder, nextIdentityFile), { force: true });
}

/** The node's own certificate for WebRTC; a lost one is replaced and the addresses change. */
export function openRtcCertificate(folder: string): RtcCertificate {
  const path = join(folder, 'rtc.json');
  const kept = parseRtcCertificate(readTextFile(path) ?? '');
  if (kept !== undefined) return kept;
  const made = makeRtcCertificate(new Date());
  replaceFile(path, JSON.stringify({ privateKey: made.privateKey, pem: made.pem }), 0o600);
  return made;
}

/** N28: the address record with the higher counter wins, so it grows across restarts. */
export function nextAddressCounter(folder: string): bigint {
  const path = join(folder, 'address-counter');
  const text = readTextFile(path)?.trim() ?? '';
  const next = (/^\d{1,18}$/.test(text) ? BigInt(text) : 0n) + 1n;
  replaceFile(path, `${next}\n`, 0o600);
  return next;
}

const plainTag = 0;
const encryptedTag = 1;

/**
 * Stores a secret (a key share, the faucet's seed) in a file that only its owner may read. With
 * `SAFE_KEY_FILE` it is encrypted under that file's content; the section's fact store is not (docs/limits.md):
 * u8 1 ‖ nonce 12 ‖ AES-256-GCM(SHA-256 of the key file) ‖ tag 16, the file's name as extra data.
 */
export function writeSecret(folder: string, name: string, secret: Uint8Array): void {
  const key = keyFromFile();
  if (key === undefined) {
    replaceFile(join(folder, name), Buffer.concat([Buffer.of(plainTag), secret]), 0o600);
    return;
  }
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name));
  const encrypted = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  replaceFile(
    join(folder, name),
    Buffer.concat([Buffer.of(encryptedTag), nonce, encrypted]),
    0o600,
  );
}

/** @returns the secret, null when there is none. Errors: throws a Problem. */
export function readSecret(folder: string, name: string): Uint8Array | null {
  const path = join(folder, name);
  if (!existsSync(path)) return null;
  const bytes = readFileSync(path);
  if (bytes[0] === plainTag) return new Uint8Array(bytes.subarray(1));
  if (bytes[0] !== encryptedTag || bytes.length < 1 + 12 + 16) throw damaged(path);
  const key = keyFromFile();
  if (key === undefined) {
    throw new Problem(
      'notPermitted',
      `${path} is encrypted: name the key file it was encrypted with in SAFE_KEY_FILE and start again.`,
    );
  }
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 13))
      .setAAD(Buffer.from(name))
      .setAuthTag(bytes.subarray(-16));
    const encrypted = bytes.subarray(13, -16);
    return new Uint8Array(Buffer.concat([decipher.update(encrypted), decipher.final()]));
  } catch {
    throw new Problem(
      'notPermitted',
      `SAFE_KEY_FILE is not the file ${path} was encrypted with: name the right one and start again.`,
    );
  }
}

function keyFromFile(): Buffer | undefined {
  const path = process.env['SAFE_KEY_FILE'];
  if (path === undefined || path === '') return undefined;
  try {
    return createHash('sha256').update('safe/v1/key-file\0').update(readFileSync(path)).digest();
  } catch {
    throw new Problem('notPermitted', `SAFE_KEY_FILE names ${path}, which cannot be read.`);
  }
}

const damaged = (path: string): Problem =>
  new Problem('broken', (way) => `${path} is damaged: restore it from a copy, or ${way}.`);
