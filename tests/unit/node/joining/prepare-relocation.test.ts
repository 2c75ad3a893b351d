/** Goal: a relocation that cannot be saved at first is not lost. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { prepareRelocation } from '../../../../src/node/joining/prepare-relocation.ts';
import { readNextIdentity } from '../../../../src/node/data-folder/node-identity.ts';

/** The first bits of a name, as zeros and ones. */
const showBits = (name: Uint8Array, count: number): string =>
  (name[0] ?? 0).toString(2).padStart(8, '0').slice(0, count);

test('a new name that the disk refuses is saved once there is room', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'safe-move-'));
  const folder = join(parent, 'node');
  const failures: unknown[] = [];
  const begun = prepareRelocation({
    folder,
    certificate: Uint8Array.of(1, 2, 3),
    age: 5,
    destination: new Uint8Array(32),
    prefix: EMPTY_PREFIX,
    onError: (error) => failures.push(error),
    retryMs: 10,
  });
  await expect.poll(() => failures.length).toBeGreaterThan(1);
  mkdirSync(folder);
  await begun;
  expect(readNextIdentity(folder)?.name[31]).toBe(5);
  rmSync(parent, { recursive: true });
});

test('AGE-A3: the new name still has its destination if the section there splits meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-move-'));
  const destination = new Uint8Array(32).fill(0b0101_0011);
  await prepareRelocation({
    folder,
    certificate: Uint8Array.of(1),
    age: 6,
    destination,
    prefix: parsePrefix('01') ?? EMPTY_PREFIX,
    onError: (error) => {
      throw error;
    },
  });
  const name = readNextIdentity(folder)?.name ?? new Uint8Array(32);
  expect(showBits(name, 5)).toBe(showBits(destination, 5));
  rmSync(folder, { recursive: true });
});
