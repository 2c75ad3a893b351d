/** Goal: an acknowledged chunk survives any crash, and is never under a wrong name. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { openChunks, type ChunkStore, type StoredChunk } from '#storage/node/chunks.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-chunks-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const nameOf = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());

const held = async (chunks: ChunkStore): Promise<readonly StoredChunk[]> => {
  const all: StoredChunk[] = [];
  for await (const page of chunks.pages()) all.push(...page);
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
};

test('a chunk comes back byte for byte and a missing one is not found', async () => {
  const chunks = openChunks(folder);
  const bytes = new Uint8Array(randomBytes(5000));
  expect(await chunks.put(nameOf(bytes), bytes)).toEqual({ ok: true, value: 'stored' });
  expect(await chunks.get(nameOf(bytes))).toEqual({ ok: true, value: bytes });
  expect(await chunks.get(nameOf(new Uint8Array(3)))).toEqual({ ok: false, error: 'notFound' });
});

test('bytes that do not match the name are refused', async () => {
  const chunks = openChunks(folder);
  expect(await chunks.put(new Uint8Array(32), Uint8Array.of(1))).toEqual({
    ok: false,
    error: 'altered',
  });
  expect(readdirSync(folder)).toEqual(['new']);
});

test('a folder unreadable at open is read as soon as it is readable', async () => {
  const before = new Uint8Array(randomBytes(300));
  await openChunks(folder).put(nameOf(before), before);
  const inTheWay = join(folder, toHex(nameOf(before)).startsWith('ab') ? 'ac' : 'ab');
  writeFileSync(inTheWay, 'no folder');
  const chunks = openChunks(folder, () => 700);
  const bytes = new Uint8Array(randomBytes(300));
  expect(await chunks.put(nameOf(bytes), bytes)).toEqual({ ok: false, error: 'broken' });
  rmSync(inTheWay);
  expect(await chunks.put(nameOf(bytes), bytes)).toEqual({ ok: true, value: 'stored' });
  // Earlier chunks count, and count once.
  expect(chunks.usedBytes()).toBe(600);
  expect(await held(chunks)).toHaveLength(2);
});

test('after a walk that failed half-way nothing is counted twice', async () => {
  const first = openChunks(folder);
  for (let n = 0; n < 40; n++) {
    const bytes = new Uint8Array(randomBytes(100));
    await first.put(nameOf(bytes), bytes);
  }
  // stat fails on a link to itself; other files in the same subfolder are readable.
  const [shelf = ''] = readdirSync(folder).filter((each) => /^[0-9a-f]{2}$/.test(each));
  const inTheWay = join(folder, shelf, shelf + '0'.repeat(62));
  symlinkSync(inTheWay, inTheWay);
  const chunks = openChunks(folder);
  const bytes = new Uint8Array(randomBytes(100));
  expect(await chunks.put(nameOf(bytes), bytes)).toEqual({ ok: false, error: 'broken' });
  rmSync(inTheWay);
  expect(await chunks.put(nameOf(bytes), bytes)).toEqual({ ok: true, value: 'stored' });
  expect(chunks.usedBytes()).toBe(4_100);
  expect(await held(chunks)).toHaveLength(41);
});

test('beyond the limit puts are refused as full, also concurrent ones; freed space is available again', async () => {
  const chunks = openChunks(folder, () => 1_000);
  const pieces = Array.from({ length: 4 }, () => new Uint8Array(randomBytes(300)));
  const results = await Promise.all(pieces.map((bytes) => chunks.put(nameOf(bytes), bytes)));
  expect(results.filter((result) => result.ok)).toHaveLength(3);
  expect(results.filter((result) => !result.ok && result.error === 'full')).toHaveLength(1);
  expect(chunks.usedBytes()).toBe(900);
  // The disk decides which of the four is too late.
  const kept = pieces.find((_, at) => results[at]?.ok === true) ?? new Uint8Array();
  const refused = pieces.find((_, at) => results[at]?.ok === false) ?? new Uint8Array();
  await chunks.remove(nameOf(kept));
  expect(await chunks.get(nameOf(kept))).toEqual({ ok: false, error: 'notFound' });
  expect(chunks.usedBytes()).toBe(600);
  expect(await chunks.put(nameOf(refused), refused)).toEqual({ ok: true, value: 'stored' });
  // Existing chunks count at the next start as well.
  const again = openChunks(folder, () => 1_000);
  expect(await held(again)).toEqual(await held(chunks));
  expect(again.usedBytes()).toBe(900);
});

test('a file changed on disk counts as lost, and a new put repairs it', async () => {
  const chunks = openChunks(folder);
  const bytes = new Uint8Array(randomBytes(100));
  const name = nameOf(bytes);
  await chunks.put(name, bytes);
  const hex = toHex(name);
  writeFileSync(join(folder, hex.slice(0, 2), hex), 'other');
  expect(await chunks.put(name, bytes)).toEqual({ ok: true, value: 'stored' });
  expect(await chunks.get(name)).toEqual({ ok: true, value: bytes });
  writeFileSync(join(folder, hex.slice(0, 2), hex), 'other');
  expect(await chunks.get(name)).toEqual({ ok: false, error: 'notFound' });
});

test('concurrent puts of the same chunk store it once', async () => {
  const chunks = openChunks(folder);
  const bytes = new Uint8Array(randomBytes(100));
  const results = await Promise.all(
    Array.from({ length: 8 }, () => chunks.put(nameOf(bytes), bytes)),
  );
  expect(results.every((result) => result.ok)).toBe(true);
  expect(readdirSync(join(folder, 'new'))).toEqual([]);
});

test('kill -9 while writing → every acknowledged chunk is complete', async () => {
  const script = `
    const { createHash, randomBytes } = await import('node:crypto');
    const { openChunks } = await import('#storage/node/chunks.ts');
    const { writeSync } = await import('node:fs');
    const chunks = openChunks(${JSON.stringify(folder)});
    const one = async () => {
      for (;;) {
        const bytes = new Uint8Array(randomBytes(200_000));
        const name = createHash('sha256').update(bytes).digest();
        const result = await chunks.put(new Uint8Array(name), bytes);
        if (result.ok) writeSync(1, name.toString('hex') + '\\n');
      }
    };
    for (let i = 0; i < 8; i++) void one();`;
  const child = spawn('node', ['--input-type=module', '-e', script], { cwd: process.cwd() });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  while (output.split('\n').length < 40) await once(child.stdout, 'data');
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  const acknowledged = output.split('\n').filter((line) => line.length === 64);
  expect(acknowledged.length).toBeGreaterThanOrEqual(39);
  const chunks = openChunks(folder);
  expect(readdirSync(join(folder, 'new'))).toEqual([]);
  for (const hex of acknowledged) {
    const name = fromHex(hex);
    expect(name.ok && (await chunks.get(name.value)).ok).toBe(true);
  }
  // Renamed but unacknowledged chunks must be complete as well.
  for (const shelf of readdirSync(folder)) {
    if (shelf === 'new') continue;
    for (const hex of readdirSync(join(folder, shelf))) {
      const name = fromHex(hex);
      expect(name.ok && (await chunks.get(name.value)).ok).toBe(true);
    }
  }
});
