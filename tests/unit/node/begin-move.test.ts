/** Goal: a move that cannot be written down at first is not lost. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { beginMove } from '../../../src/node/begin-move.ts';
import { readNextIdentity } from '../../../src/node/node-folder.ts';

test('a new name that the disk refuses is made when there is room', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'safe-move-'));
  const folder = join(parent, 'node');
  const failures: unknown[] = [];
  const begun = beginMove({
    folder,
    ticket: Uint8Array.of(1, 2, 3),
    age: 5,
    prefix: EMPTY_PREFIX,
    failed: (error) => failures.push(error),
    retryMs: 10,
  });
  await expect.poll(() => failures.length).toBeGreaterThan(1);
  mkdirSync(folder);
  await begun;
  expect(readNextIdentity(folder)?.name[31]).toBe(5);
  rmSync(parent, { recursive: true });
});
