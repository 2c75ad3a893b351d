/** Goal: what a node keeps survives restarts, and key shares are sealed when a key file is given. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  nextAddressCounter,
  openIdentity,
  openRtcCertificate,
  readSecret,
  writeSecret,
} from '#node/node-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-node-'));
});
afterEach(() => {
  delete process.env['SAFE_KEY_FILE'];
  rmSync(folder, { recursive: true });
});

test('identity and certificate are made once, the address counter only grows', async () => {
  const first = await openIdentity(folder, 'elder-1');
  expect(first.name[31]).toBe(5);
  expect(await openIdentity(folder, 'elder-1')).toEqual(first);
  expect(statSync(join(folder, 'identity.key')).mode & 0o777).toBe(0o600);
  expect(openRtcCertificate(folder)).toEqual(openRtcCertificate(folder));
  expect([nextAddressCounter(folder), nextAddressCounter(folder)]).toEqual([1n, 2n]);
});

test('a damaged identity is named and not replaced', async () => {
  writeFileSync(join(folder, 'identity.key'), 'abc');
  await expect(openIdentity(folder, 'elder-1')).rejects.toThrow('is damaged');
  expect(readFileSync(join(folder, 'identity.key'), 'utf8')).toBe('abc');
});

test('without a key file a secret is plain and private, with one it is sealed', () => {
  const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
  writeSecret(folder, 'share.key', secret);
  expect(readSecret(folder, 'share.key')).toEqual(secret);
  expect(readSecret(folder, 'other.key')).toBeNull();
  const keyFile = join(folder, 'key-file');
  writeFileSync(keyFile, 'correct horse');
  process.env['SAFE_KEY_FILE'] = keyFile;
  writeSecret(folder, 'share.key', secret);
  expect(readFileSync(join(folder, 'share.key')).includes(Buffer.from(secret))).toBe(false);
  expect(readSecret(folder, 'share.key')).toEqual(secret);
  writeFileSync(keyFile, 'other');
  expect(() => readSecret(folder, 'share.key')).toThrow('SAFE_KEY_FILE is not the file');
  delete process.env['SAFE_KEY_FILE'];
  expect(() => readSecret(folder, 'share.key')).toThrow('name the key file');
});
