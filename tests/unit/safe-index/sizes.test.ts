/** Goal: everything written can be read again, on any device; anything else is refused before the write. */
import { expect, test } from 'vitest';
import {
  decodeIndex,
  EMPTY_INDEX,
  encodeIndex,
  checkIndexSize,
  MAX_FILES,
  MAX_WALLET_BYTES,
  mergeIndex,
  nextTimestamp,
  putFile,
  setRemoved,
  withWallet,
  type SafeIndex,
} from '#safe/index/index-set.ts';
import { MAX_FILE_ENTRY_BYTES, type FileEntry } from '#safe/index/file-entry.ts';

const device = new Uint8Array(8).fill(1);

function idOf(number: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(0, number);
  return id;
}

const entry = (number: number, name = 'x'): FileEntry => ({
  id: idOf(number),
  name,
  type: '',
  size: 1,
  addedAt: 1,
  secret: new Uint8Array(32),
  dataMapName: new Uint8Array(32),
  removed: false,
  stamp: { lamport: 1n, device },
});

function listOf(count: number, from = 0, name = 'x'): SafeIndex {
  const files = new Map<string, FileEntry>();
  for (let i = from; i < from + count; i++) {
    const each = entry(i, name);
    files.set(Buffer.from(each.id).toString('hex'), each);
  }
  return { files, wallet: new Uint8Array() };
}

const larger = (a: Uint8Array, b: Uint8Array): Uint8Array => (a.length >= b.length ? a : b);

test('the merged lists of two devices within the bounds can be stored and read', () => {
  const both = mergeIndex(listOf(60_000), listOf(60_000, 60_000), larger);
  const storable = checkIndexSize(both);
  expect(storable.ok).toBe(true);
  const read = storable.ok ? decodeIndex(storable.value) : storable;
  expect(read.ok && read.value.files.size).toBe(120_000);
});

test('a list over its bound accepts no further file, but a removal and a payment', () => {
  const before = listOf(MAX_FILES + 5);
  const { id, name, type, size, addedAt, secret, dataMapName } = entry(MAX_FILES + 5);
  const more = putFile(before, device, { id, name, type, size, addedAt, secret, dataMapName });
  expect(checkIndexSize(more, before)).toEqual({ ok: false, error: 'tooManyFiles' });
  const less = setRemoved(before, device, Buffer.from(idOf(0)).toString('hex'), true);
  expect(checkIndexSize(less, before).ok).toBe(true);
  const paid = withWallet(before, new Uint8Array(1000));
  expect(checkIndexSize(paid, before).ok).toBe(true);
});

test('a money part may grow up to its bound; a smaller one is always accepted', () => {
  const at = (bytes: number): SafeIndex => withWallet(EMPTY_INDEX, new Uint8Array(bytes));
  expect(checkIndexSize(at(MAX_WALLET_BYTES), EMPTY_INDEX).ok).toBe(true);
  expect(checkIndexSize(at(MAX_WALLET_BYTES + 1), at(MAX_WALLET_BYTES))).toEqual({
    ok: false,
    error: 'walletTooLarge',
  });
  // One that an older app let grow too far can be read, and made smaller.
  const grown = at(MAX_WALLET_BYTES + 1024 * 1024);
  expect(decodeIndex(encodeIndex(grown)).ok).toBe(true);
  expect(checkIndexSize(at(MAX_WALLET_BYTES + 1), grown).ok).toBe(true);
  expect(checkIndexSize(at(3 * MAX_WALLET_BYTES + 1)).ok).toBe(false);
});

test('no entry exceeds the assumed bound', () => {
  const largest = { ...entry(0, 'n'.repeat(1024)), type: 't'.repeat(255) };
  const one = { files: new Map([['00', largest]]), wallet: new Uint8Array() };
  expect(encodeIndex(one).length - encodeIndex(EMPTY_INDEX).length).toBe(MAX_FILE_ENTRY_BYTES);
});

test('a counter at its maximum does not prevent saving', () => {
  const last = { ...entry(0), stamp: { lamport: 2n ** 64n - 1n, device } };
  const index = { files: new Map([['00', last]]), wallet: new Uint8Array() };
  expect(nextTimestamp(index, device).lamport).toBe(2n ** 64n - 1n);
  expect(() => encodeIndex(setRemoved(index, device, '00', true))).not.toThrow();
});
