/** What one node keeps beside its facts and chunks: its identity, certificate, key share, counter. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { decodeScalar, encodeScalar, hashToScalar, publicPoint } from '#crypto/ristretto.ts';
import { readTextFile, replaceFile } from '#storage/node/data-folder.ts';
import { Problem } from '#storage/node/problem.ts';
import { grindIdentity, JOIN_AGE, publicKeyOf } from './native-ed25519.ts';
import { makeRtcCertificate, parseRtcCertificate, type RtcCertificate } from './rtc-certificate.ts';

export interface NodeIdentity {
  readonly label: string;
  readonly folder: string;
  /** ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array;
  readonly name: Uint8Array;
  /** N12: the long-term key that dealings fall back to; it stays when the name changes. */
  readonly sharing: SharingKeyPair;
}

export interface SharingKeyPair {
  /** A ristretto255 scalar, 32 bytes. */
  readonly secret: Uint8Array;
  /** The point of it, 32 bytes. */
  readonly key: Uint8Array;
}

const identityFile = 'identity.key';
const nextIdentityFile = 'identity.next';
const sharingFile = 'sharing.key';

/** The identity in the folder, made at the first start with age 5, under the prefix if wanted. */
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
  const seed = seedIn(text, path);
  chmodSync(path, 0o600);
  return { label, folder, seed, name: publicKeyOf(seed), sharing };
}

function seedIn(text: string, path: string): Uint8Array {
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

/** A relocation under way: the new name, and the ticket that lets it in (N38). */
export interface NextIdentity {
  readonly seed: Uint8Array;
  readonly name: Uint8Array;
  /** The signed ticket, as the section's machine encodes it. */
  readonly ticket: Uint8Array;
}

/**
 * The identity a node is moving to, ground once and kept beside the old one until
 * {@link takeNextIdentity}: a crash in between finds the same name again.
 */
export async function openNextIdentity(
  folder: string,
  ticket: Uint8Array,
  age: number,
  prefix: Prefix,
): Promise<NextIdentity> {
  const kept = readNextIdentity(folder);
  if (kept !== null && equalBytes(kept.ticket, ticket)) return kept;
  const seed = await grindIdentity(age, prefix);
  const text = `${toHex(seed)}\n${toHex(ticket)}\n`;
  replaceFile(join(folder, nextIdentityFile), text, 0o600);
  return { seed, name: publicKeyOf(seed), ticket };
}

/** @returns the move that was begun, null when there is none. */
export function readNextIdentity(folder: string): NextIdentity | null {
  const path = join(folder, nextIdentityFile);
  const text = readTextFile(path);
  if (text === null) return null;
  const [first = '', second = ''] = text.split('\n');
  const seed = seedIn(first, path);
  const ticket = fromHex(second);
  if (!ticket.ok) throw damaged(path);
  return { seed, name: publicKeyOf(seed), ticket: ticket.value };
}

/** The join is done: the new name is the node's, the old one is kept aside. */
export function takeNextIdentity(folder: string): void {
  const next = readNextIdentity(folder);
  if (next === null) return;
  const path = join(folder, identityFile);
  const old = seedIn(readTextFile(path) ?? '', path);
  // A crash after any of these three finds a whole identity and ends in the same place.
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

/** The node's own certificate for WebRTC; a lost one is made anew and addresses follow. */
export function openRtcCertificate(folder: string): RtcCertificate {
  const path = join(folder, 'rtc.json');
  const kept = parseRtcCertificate(readTextFile(path) ?? '');
  if (kept !== undefined) return kept;
  const made = makeRtcCertificate(new Date());
  replaceFile(path, JSON.stringify({ privateKey: made.privateKey, pem: made.pem }), 0o600);
  return made;
}

/** N28: of two address records the higher counter counts, so it only grows, restarts included. */
export function nextAddressCounter(folder: string): bigint {
  const path = join(folder, 'address-counter');
  const text = readTextFile(path)?.trim() ?? '';
  const next = (/^\d{1,18}$/.test(text) ? BigInt(text) : 0n) + 1n;
  replaceFile(path, `${next}\n`, 0o600);
  return next;
}

const plainTag = 0;
const sealedTag = 1;

/**
 * Keeps a secret (a key share, the faucet's seed) in a file only its owner reads. With
 * `SAFE_KEY_FILE` it is sealed under that file's content, so a copied data folder holds no share:
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
  const sealed = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  replaceFile(join(folder, name), Buffer.concat([Buffer.of(sealedTag), nonce, sealed]), 0o600);
}

/** @returns the secret, null when there is none. Errors: throws a Problem with one line. */
export function readSecret(folder: string, name: string): Uint8Array | null {
  const path = join(folder, name);
  if (!existsSync(path)) return null;
  const bytes = readFileSync(path);
  if (bytes[0] === plainTag) return new Uint8Array(bytes.subarray(1));
  if (bytes[0] !== sealedTag || bytes.length < 1 + 12 + 16) throw damaged(path);
  const key = keyFromFile();
  if (key === undefined) {
    throw new Problem(
      'notPermitted',
      `${path} is sealed: name the key file it was sealed with in SAFE_KEY_FILE and start again.`,
    );
  }
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 13))
      .setAAD(Buffer.from(name))
      .setAuthTag(bytes.subarray(-16));
    const sealed = bytes.subarray(13, -16);
    return new Uint8Array(Buffer.concat([decipher.update(sealed), decipher.final()]));
  } catch {
    throw new Problem(
      'notPermitted',
      `SAFE_KEY_FILE is not the file ${path} was sealed with: name the right one and start again.`,
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
  new Problem(
    'broken',
    `${path} is damaged: restore it from a copy, or start a new network with --fresh (the old folder is kept beside it).`,
  );
