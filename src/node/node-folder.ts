/** What one node keeps beside its facts and chunks: its identity, certificate, key share, counter. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '#core/codec/bytes.ts';
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
}

/** The identity in the folder, made at the first start with age 5. */
export async function openIdentity(folder: string, label: string): Promise<NodeIdentity> {
  const path = join(folder, 'identity.key');
  const text = readTextFile(path);
  if (text === null) {
    const seed = await grindIdentity(JOIN_AGE);
    replaceFile(path, `${toHex(seed)}\n`, 0o600);
    return { label, folder, seed, name: publicKeyOf(seed) };
  }
  const seed = fromHex(text.trim());
  if (!seed.ok || seed.value.length !== 32) throw damaged(path);
  chmodSync(path, 0o600);
  return { label, folder, seed: seed.value, name: publicKeyOf(seed.value) };
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
