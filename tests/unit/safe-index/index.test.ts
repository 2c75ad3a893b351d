/**
 * Goal: merging the indexes of two separate devices loses nothing and gives the same result in any order.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import {
  decodeIndexEnvelope,
  decodeIndexLocation,
  encodeIndexEnvelope,
  encodeIndexLocation,
  ENVELOPE_OVERHEAD_BYTES,
  fitsInline,
  MAX_INLINE_BYTES,
} from '#safe/index/index-envelope.ts';
import type { FileEntry } from '#safe/index/file-entry.ts';
import {
  decodeIndex,
  EMPTY_INDEX,
  encodeIndex,
  listFiles,
  mergeIndex,
  putFile,
  setRemoved,
  type SafeIndex,
} from '#safe/index/index-set.ts';

const filled = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);

/** A wallet section with the required merge laws: per byte, the larger one. */
const mergeWallet = (a: Uint8Array, b: Uint8Array): Uint8Array =>
  Uint8Array.from({ length: Math.max(a.length, b.length) }, (_, i) =>
    Math.max(a[i] ?? 0, b[i] ?? 0),
  );
const merge = (a: SafeIndex, b: SafeIndex): SafeIndex => mergeIndex(a, b, mergeWallet);

/** Few ids, devices and counters, so that collisions and ties happen. */
const anyEntry: fc.Arbitrary<FileEntry> = fc
  .record({
    id: fc.integer({ min: 0, max: 3 }),
    device: fc.integer({ min: 0, max: 1 }),
    lamport: fc.bigInt({ min: 0n, max: 3n }),
    name: fc.constantFrom('a', 'b', 'Ünïcode 😀'),
    removed: fc.boolean(),
  })
  .map(({ id, device, lamport, name, removed }) => ({
    id: filled(id, 16),
    name,
    type: 'text/plain',
    size: 5,
    addedAt: 1000 + id,
    secret: filled(id),
    dataMapName: filled(id + 100),
    removed,
    stamp: { lamport, device: filled(device, 8) },
  }));

const anyIndex: fc.Arbitrary<SafeIndex> = fc
  .tuple(fc.array(anyEntry, { maxLength: 6 }), fc.uint8Array({ maxLength: 4 }))
  .map(([entries, wallet]) =>
    entries.reduce(
      (index, entry) =>
        merge(index, { files: new Map([[toHex(entry.id), entry]]), wallet: new Uint8Array() }),
      { files: new Map(), wallet } as SafeIndex,
    ),
  );

const bytes = (index: SafeIndex): string => toHex(encodeIndex(index));

test('merging is commutative, associative and idempotent, and empty is neutral', () => {
  fc.assert(
    fc.property(anyIndex, anyIndex, anyIndex, (a, b, c) => {
      expect(bytes(merge(a, b))).toBe(bytes(merge(b, a)));
      expect(bytes(merge(merge(a, b), c))).toBe(bytes(merge(a, merge(b, c))));
      expect(bytes(merge(a, a))).toBe(bytes(a));
      expect(bytes(merge(a, EMPTY_INDEX))).toBe(bytes(a));
      expect(bytes(merge(merge(a, b), a))).toBe(bytes(merge(a, b)));
    }),
  );
});

test('an index survives its encoding', () => {
  fc.assert(
    fc.property(anyIndex, (index) => {
      const decoded = decodeIndex(encodeIndex(index));
      expect(decoded.ok && bytes(decoded.value)).toBe(bytes(index));
    }),
  );
});

const [phone, laptop] = [filled(1, 8), filled(2, 8)];
const file = (byte: number, name: string) => ({
  id: filled(byte, 16),
  name,
  type: '',
  size: 1,
  addedAt: byte,
  secret: filled(byte),
  dataMapName: filled(byte),
});
const names = (index: SafeIndex, removed = false): readonly string[] =>
  listFiles(index, removed).map((entry) => entry.name);

test('two devices that add files separately keep both', () => {
  const a = putFile(EMPTY_INDEX, phone, file(1, 'from phone'));
  const b = putFile(EMPTY_INDEX, laptop, file(2, 'from laptop'));
  expect(names(merge(a, b))).toEqual(['from laptop', 'from phone']);
});

test('a removed file is not restored by a merge, only by a restore', () => {
  const before = putFile(EMPTY_INDEX, phone, file(1, 'x'));
  const removed = setRemoved(before, laptop, toHex(filled(1, 16)), true);
  expect(names(merge(before, removed))).toEqual([]);
  expect(names(merge(before, removed), true)).toEqual(['x']);
  const restored = setRemoved(merge(before, removed), phone, toHex(filled(1, 16)), false);
  expect(names(merge(removed, restored))).toEqual(['x']);
});

test('removing an unknown or removed file changes nothing', () => {
  const index = putFile(EMPTY_INDEX, phone, file(1, 'x'));
  expect(setRemoved(index, phone, 'ff', true)).toBe(index);
  expect(setRemoved(index, phone, toHex(filled(1, 16)), false)).toBe(index);
});

test('decoders of index, envelope and location never throw and refuse trailing or cut bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      decodeIndex(random);
      decodeIndexEnvelope(random);
      decodeIndexLocation(random);
    }),
  );
  const good = encodeIndex(putFile(EMPTY_INDEX, phone, file(1, 'x')));
  expect(decodeIndex(good).ok).toBe(true);
  expect(decodeIndex(good.slice(0, -1)).ok).toBe(false);
  expect(decodeIndex(Uint8Array.of(...good, 0)).ok).toBe(false);
});

test('unsorted or duplicate entries are refused: one index has one encoding', () => {
  const two = putFile(putFile(EMPTY_INDEX, phone, file(1, 'x')), phone, file(2, 'y'));
  const good = encodeIndex(two);
  const length = (good.length - 1 - 4 - 4) / 2;
  const [first, second] = [good.slice(5, 5 + length), good.slice(5 + length, 5 + 2 * length)];
  const swapped = Uint8Array.of(...good.slice(0, 5), ...second, ...first, 0, 0, 0, 0);
  const doubled = Uint8Array.of(...good.slice(0, 5), ...first, ...first, 0, 0, 0, 0);
  expect(decodeIndex(swapped).ok).toBe(false);
  expect(decodeIndex(doubled).ok).toBe(false);
});

test('the envelope carries range-checked parameters, and an inline body fits 60 KiB exactly', () => {
  const parameters = { memoryKiB: 65_536, passes: 3 };
  const envelope = encodeIndexEnvelope({ parameters, sealed: filled(1, 50) });
  expect(decodeIndexEnvelope(envelope)).toEqual({
    ok: true,
    value: { parameters, sealed: filled(1, 50) },
  });
  const weak = encodeIndexEnvelope({
    parameters: { memoryKiB: 64, passes: 3 },
    sealed: filled(1, 50),
  });
  expect(decodeIndexEnvelope(weak).ok).toBe(false);
  const index = new Uint8Array(MAX_INLINE_BYTES - ENVELOPE_OVERHEAD_BYTES);
  expect([fitsInline(index), fitsInline(Uint8Array.of(...index, 0))]).toEqual([true, false]);
  const sealed = new Uint8Array(encodeIndexLocation({ kind: 'inline', index }).length + 12 + 16);
  expect(encodeIndexEnvelope({ parameters, sealed }).length).toBe(MAX_INLINE_BYTES);
});

test('a location in chunks survives its encoding', () => {
  const place = {
    kind: 'chunks' as const,
    secret: filled(4),
    map: { size: 3, entries: [{ plainHash: filled(5), chunkName: filled(6) }] },
  };
  expect(decodeIndexLocation(encodeIndexLocation(place))).toEqual({ ok: true, value: place });
});
