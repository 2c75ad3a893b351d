/** Goal: a read of a corrupt file never removes the good one that has replaced it. */
import { createHash, randomBytes } from 'node:crypto';
import type * as FileSystem from 'node:fs/promises';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openChunks } from '#storage/node/chunks.ts';

/** The first removal of a file waits for this. */
const held = vi.hoisted(() => ({
  until: Promise.resolve() as Promise<void>,
  first: false,
  /** How long a read takes. */
  looks: Promise.resolve() as Promise<void>,
}));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystem>();
  return {
    ...real,
    stat: async (path: string) => {
      const found = await real.stat(path);
      await held.looks;
      return found;
    },
    unlink: async (path: string) => {
      if (held.first && /[0-9a-f]{64}$/.test(path)) {
        held.first = false;
        await held.until;
      }
      return real.unlink(path);
    },
  };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-chunks-race-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each(['a read of a rotten file', 'a removal'])(
  '%s that is slow to remove it does not remove an acknowledged put',
  async (what) => {
    const bytes = new Uint8Array(randomBytes(2_000));
    const name = new Uint8Array(createHash('sha256').update(bytes).digest());
    const hex = Buffer.from(name).toString('hex');
    mkdirSync(join(folder, hex.slice(0, 2)), { recursive: true });
    const rotten = what === 'a removal' ? bytes : bytes.slice(0, 100);
    writeFileSync(join(folder, hex.slice(0, 2), hex), rotten);
    const chunks = openChunks(folder);
    let release: () => void = () => undefined;
    held.until = new Promise((go) => (release = go));
    held.first = true;
    const removing = what === 'a removal' ? chunks.remove(name) : chunks.get(name);
    await vi.waitFor(() => expect(held.first).toBe(false), { timeout: 20_000 });
    const put = chunks.put(name, bytes);
    await Promise.race([put, new Promise((go) => setTimeout(go, 100))]);
    release();
    await removing;
    expect(await put).toEqual({ ok: true, value: 'stored' });
    expect(await chunks.get(name)).toEqual({ ok: true, value: bytes });
  },
);

test('a file removed during the walk no longer counts', async () => {
  const [bytes, other] = [new Uint8Array(randomBytes(2_000)), new Uint8Array(randomBytes(300))];
  const nameOf = (each: Uint8Array) => new Uint8Array(createHash('sha256').update(each).digest());
  const hex = Buffer.from(nameOf(bytes)).toString('hex');
  mkdirSync(join(folder, hex.slice(0, 2)), { recursive: true });
  writeFileSync(join(folder, hex.slice(0, 2), hex), bytes.slice(0, 100));
  let look: () => void = () => undefined;
  held.looks = new Promise((go) => (look = go));
  const chunks = openChunks(folder);
  // The walk has seen the file and waits; the reader finds it corrupt.
  await new Promise((go) => setTimeout(go, 100));
  expect(await chunks.get(nameOf(bytes))).toEqual({ ok: false, error: 'notFound' });
  look();
  expect(await chunks.put(nameOf(other), other)).toEqual({ ok: true, value: 'stored' });
  expect(chunks.usedBytes()).toBe(300);
});
