/**
 * Goal: a chunk counts as stored only when its name would survive a power cut, also when an earlier
 * attempt, or a previous run of the program, stopped right after renaming the file. Method: the syncs of
 * folders are recorded, and fail on demand.
 */
import { createHash, randomBytes } from 'node:crypto';
import type * as FileSystem from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openChunks } from '#storage/node/chunks.ts';

/** Folders synced so far, and how many of the next syncs fail. */
const disk = vi.hoisted(() => ({ synced: [] as string[], failing: 0, walks: 0, isBroken: false }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystem>();
  return {
    ...real,
    readdir: async (path: string) => {
      if (!disk.isBroken) return real.readdir(path);
      disk.walks += 1;
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    },
    open: async (path: string, flags: string, mode?: number) => {
      const file = await real.open(path, flags, mode);
      if (flags !== 'r') return file;
      return {
        sync: async () => {
          if (disk.failing > 0) {
            disk.failing -= 1;
            throw Object.assign(new Error('EIO'), { code: 'EIO' });
          }
          disk.synced.push(path);
        },
        close: () => file.close(),
      };
    },
  };
});

let folder: string;
const bytes = new Uint8Array(randomBytes(2_000));
const name = new Uint8Array(createHash('sha256').update(bytes).digest());
const shelf = (): string => join(folder, Buffer.from(name).toString('hex').slice(0, 2));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-chunks-listed-'));
  Object.assign(disk, { synced: [], failing: 0, walks: 0, isBroken: false });
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each([
  ['the list of folders', 1],
  ['the list of names', 2],
])('a put is refused when %s cannot be synced, and the next one syncs it', async (_, nth) => {
  const chunks = openChunks(folder);
  if (nth === 1) disk.failing = 1;
  else {
    // The first of the same subfolder has synced the list of folders.
    await chunks.put(name, bytes);
    await chunks.remove(name);
    disk.failing = 1;
  }
  disk.synced.length = 0;
  expect(await chunks.put(name, bytes)).toEqual({ ok: false, error: 'broken' });
  disk.synced.length = 0;
  expect(await chunks.put(name, bytes)).toEqual({ ok: true, value: 'stored' });
  expect(disk.synced).toContain(nth === 1 ? folder : shelf());
});

test('a file left by a previous run counts once its names are synced', async () => {
  await openChunks(folder).put(name, bytes);
  disk.synced.length = 0;
  const chunks = openChunks(folder);
  expect(await chunks.put(name, bytes)).toEqual({ ok: true, value: 'stored' });
  expect(disk.synced).toEqual([folder, shelf()]);
  // A durable name is not synced again.
  expect(await chunks.put(name, bytes)).toEqual({ ok: true, value: 'stored' });
  expect(disk.synced).toHaveLength(2);
});

test('an unreadable folder is not walked for every caller', async () => {
  disk.isBroken = true;
  const chunks = openChunks(folder);
  for (let n = 0; n < 20; n++) {
    expect(await chunks.put(name, bytes)).toEqual({ ok: false, error: 'broken' });
  }
  // At the start and for the next caller; then after a pause.
  expect(disk.walks).toBe(2);
});
