/** Goal: a node's files survive restarts, and key shares are encrypted when a key file is given. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EMPTY_PREFIX, matches, parsePrefix } from '#address/prefix.ts';
import {
  nextAddressCounter,
  openIdentity,
  openNextIdentity,
  openRtcCertificate,
  readNextIdentity,
  readSecret,
  activateNextIdentity,
  writeSecret,
} from '#node/data-folder/node-identity.ts';

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

test('a name is ground under a prefix, in a thread if that takes long', async () => {
  for (const text of ['1', '0110']) {
    mkdirSync(join(folder, text));
    const identity = await openIdentity(join(folder, text), 'node', parsePrefix(text));
    expect(matches(parsePrefix(text) ?? EMPTY_PREFIX, identity.name)).toBe(true);
    expect(identity.name[31]).toBe(5);
  }
});

test('N38: a relocating node keeps its old name until it has joined, even across crashes', async () => {
  const old = await openIdentity(folder, 'node');
  const ticket = Uint8Array.of(1, 2, 3);
  const begun = await openNextIdentity(folder, ticket, 6, parsePrefix('1') ?? EMPTY_PREFIX);
  expect(begun.name[31]).toBe(6);
  // After a crash here the node still has the old name, and finds the same new name again.
  expect((await openIdentity(folder, 'node')).name).toEqual(old.name);
  expect(await openNextIdentity(folder, ticket, 6, EMPTY_PREFIX)).toEqual(begun);
  activateNextIdentity(folder);
  const now = await openIdentity(folder, 'node');
  expect(now.name).toEqual(begun.name);
  expect(now.sharing).toEqual(old.sharing);
  expect(readNextIdentity(folder)).toBeNull();
  activateNextIdentity(folder);
  expect((await openIdentity(folder, 'node')).name).toEqual(begun.name);
});

test('a damaged identity is reported and not replaced', async () => {
  writeFileSync(join(folder, 'identity.key'), 'abc');
  await expect(openIdentity(folder, 'elder-1')).rejects.toThrow('is damaged');
  expect(readFileSync(join(folder, 'identity.key'), 'utf8')).toBe('abc');
});

test('a secret is stored in plain without a key file, and encrypted with one', () => {
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
