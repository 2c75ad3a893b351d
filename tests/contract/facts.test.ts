/**
 * Goal: every fact store keeps acknowledged facts, in order, and refuses outdated pointer records.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodePointer, pointerRecordDigest, signPointer } from '#data/pointer-record.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { createMemoryFacts } from '../support/memory-facts.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

interface Adapter {
  readonly name: string;
  readonly open: (folder: string) => FactStore;
  readonly durable: boolean;
}

const adapters: readonly Adapter[] = [
  { name: 'memory', open: () => createMemoryFacts(), durable: false },
  { name: 'sqlite', open: (folder) => openFacts(join(folder, 'facts')), durable: true },
];

describe.each(adapters)('the fact store on $name', ({ open, durable }) => {
  let folder: string;
  let store: FactStore;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'safe-facts-'));
    store = open(folder);
  });
  afterEach(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });

  test('an instance without writes has no facts', async () => {
    expect(await store.load('spentbook', 'aa')).toEqual([]);
  });

  test('facts load in the order they were appended, also when appended at the same time', async () => {
    await Promise.all([1, 2, 3, 4].map((n) => store.append('spentbook', 'aa', bytes(n))));
    expect(await store.load('spentbook', 'aa')).toEqual([1, 2, 3, 4].map((n) => bytes(n)));
  });

  test('a fact that replaces others is stored before they are deleted, and counting continues', async () => {
    for (const n of [1, 2, 3]) await store.append('section', 'aa', bytes(n));
    await store.append('section', 'ab', bytes(9));
    await store.appendAndForget('section', 'aa', bytes(4), (facts) => {
      expect(facts).toEqual([1, 2, 3, 4].map((n) => bytes(n)));
      return [0, 2, 3]; // The newest fact stays, even if listed here.
    });
    await store.append('section', 'aa', bytes(5));
    expect(await store.load('section', 'aa')).toEqual([2, 4, 5].map((n) => bytes(n)));
    expect(await store.load('section', 'ab')).toEqual([bytes(9)]);
  });

  test('N20: a slot takes one value permanently, even after the fact behind it is deleted', async () => {
    const once = (value: number) => ({ slot: 'successor/aa', value: bytes(value) });
    await store.appendOnce('section', 'aa', bytes(1), once(7));
    await store.appendOnce('section', 'aa', bytes(2), once(7));
    await expect(store.appendOnce('section', 'aa', bytes(3), once(8))).rejects.toThrow(
      'successor/aa has a value already',
    );
    await store.erase('section', 'aa');
    await expect(store.appendOnce('section', 'aa', bytes(3), once(8))).rejects.toThrow();
    await store.appendOnce('section', 'aa', bytes(4), { ...once(8), slot: 'successor/ab' });
    expect(await store.load('section', 'aa')).toEqual([bytes(4)]);
    if (!durable) return;
    store.close();
    store = open(folder);
    await expect(store.appendOnce('section', 'aa', bytes(3), once(8))).rejects.toThrow();
  });

  test('instances are separate, by machine and by key', async () => {
    await store.append('spentbook', 'aa', bytes(1));
    await store.append('mint', 'aa', bytes(2));
    await store.append('spentbook', 'ab', bytes(3));
    expect(await store.load('spentbook', 'aa')).toEqual([bytes(1)]);
    expect(await store.load('mint', 'aa')).toEqual([bytes(2)]);
  });

  test('outputs are paged oldest first, and the last page is marked', async () => {
    for (const n of [1, 2, 3]) await store.appendWithOutput('mint', `k${n}`, bytes(n), bytes(9, n));
    const first = await store.listOutputs(0, 2);
    expect(first.entries).toEqual([bytes(9, 1), bytes(9, 2)]);
    expect(first.more).toBe(true);
    const second = await store.listOutputs(first.next, 2);
    expect(second.entries).toEqual([bytes(9, 3)]);
    expect(second.more).toBe(false);
    expect(await store.lastOutputs(2)).toEqual([bytes(9, 2), bytes(9, 3)]);
    expect(await store.listOutputs(second.next, 2)).toEqual({
      entries: [],
      next: second.next,
      more: false,
    });
  });

  test('a key is listed once, with its first entry', async () => {
    await store.appendWithOutput('mint', 'k', bytes(1), bytes(1));
    await store.appendWithOutput('mint', 'k', bytes(2), bytes(2));
    expect((await store.listOutputs(0, 9)).entries).toEqual([bytes(1)]);
    expect(await store.load('mint', 'k')).toEqual([bytes(1), bytes(2)]);
  });

  test('a pointer record only moves forward', async () => {
    expect(await store.getPointer('p')).toBeNull();
    expect((await store.putPointer('p', 2n, bytes(2))).ok).toBe(true);
    expect(await store.putPointer('p', 1n, bytes(1))).toEqual({
      ok: false,
      error: { kind: 'lowerVersion', kept: bytes(2) },
    });
    expect(await store.putPointer('p', 2n, bytes(7))).toEqual({
      ok: false,
      error: { kind: 'versionTaken', kept: bytes(2) },
    });
    expect((await store.putPointer('p', 2n, bytes(2))).ok).toBe(true);
    const last = (1n << 64n) - 1n;
    expect((await store.putPointer('p', last, bytes(3))).ok).toBe(true);
    expect((await store.putPointer('p', 3n, bytes(4))).ok).toBe(false);
    expect(await store.getPointer('p')).toEqual(bytes(3));
  });

  test('a record with another signature of its owner is the same record, and the first one stays', async () => {
    const seed = new Uint8Array(32).fill(4);
    const first = signPointer(new Uint8Array(32), seed, 2n, bytes(3));
    const again = { ...first, signature: new Uint8Array(64) };
    expect((await store.putPointer('p', 2n, encodePointer(first))).ok).toBe(true);
    expect((await store.putPointer('p', 2n, encodePointer(again))).ok).toBe(true);
    expect(await store.getPointer('p')).toEqual(encodePointer(first));
  });

  test('of two bodies of one version holders keep the same one, in any order of arrival', async () => {
    const records = [bytes(1), bytes(2)];
    for (const [at, order] of [records, records.toReversed()].entries()) {
      for (const record of order) await store.putPointer(`p${at}`, 1n, record, 'holder');
    }
    const kept = await store.getPointer('p0');
    expect(await store.getPointer('p1')).toEqual(kept);
    const [listed] = await store.listPointers('', 1);
    const other = records.find((record) => record[0] !== kept?.[0]) ?? bytes(9);
    expect(await store.putPointer('p0', 1n, other, 'holder')).toMatchObject({ ok: false });
    // A client that offers the other body afterwards is refused, even if that body ranks higher.
    expect(listed?.digest).toEqual(pointerRecordDigest(kept ?? bytes()));
    await store.putPointer('q', 1n, other);
    expect((await store.putPointer('q', 1n, kept ?? bytes())).ok).toBe(false);
  });

  test('a record is removed only in the given version, not after another one replaced it', async () => {
    await store.putPointer('p', 1n, bytes(1));
    const [first] = await store.listPointers('', 1);
    await store.putPointer('p', 2n, bytes(2));
    await store.removePointer('p', first ?? { version: 9n, digest: bytes() });
    expect(await store.getPointer('p')).toEqual(bytes(2));
    const [second] = await store.listPointers('', 1);
    await store.removePointer('p', second ?? { version: 0n, digest: bytes() });
    expect(await store.getPointer('p')).toBeNull();
  });

  test('of two bodies of one version put at the same time one is refused', async () => {
    const results = await Promise.all([
      store.putPointer('p', 1n, bytes(1)),
      store.putPointer('p', 1n, bytes(2)),
    ]);
    expect(results.map((result) => result.ok)).toEqual([true, false]);
  });

  if (durable)
    test('all data survives closing and reopening the store', async () => {
      await store.append('spentbook', 'aa', bytes(1));
      await store.appendWithOutput('mint', 'k', bytes(2), bytes(3));
      await store.putPointer('p', 5n, bytes(5));
      store.close();
      store = open(folder);
      expect(await store.load('spentbook', 'aa')).toEqual([bytes(1)]);
      expect((await store.listOutputs(0, 9)).entries).toEqual([bytes(3)]);
      expect((await store.putPointer('p', 4n, bytes(4))).ok).toBe(false);
    });
});

test('a file of the previous schema is migrated', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-facts-'));
  const path = join(folder, 'facts');
  const before = openFacts(path);
  await before.append('section', 'aa', bytes(1));
  await before.putPointer('p', 3n, bytes(7));
  const [listed] = await before.listPointers('', 9);
  before.close();
  const sql = new DatabaseSync(path);
  sql.exec('DROP TABLE once; ALTER TABLE pointers DROP COLUMN digest; PRAGMA user_version=1');
  sql.close();
  const after = openFacts(path);
  expect(await after.load('section', 'aa')).toEqual([bytes(1)]);
  expect(await after.listPointers('', 9)).toEqual([listed]);
  expect((await after.putPointer('p', 3n, bytes(7))).ok).toBe(true);
  expect((await after.putPointer('p', 3n, bytes(8))).ok).toBe(false);
  await after.appendOnce('section', 'aa', bytes(2), { slot: 's', value: bytes(1) });
  after.close();
  rmSync(folder, { recursive: true });
});
