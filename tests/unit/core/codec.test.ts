/** Goal: bytes become values in one bounded step, and each value has one encoding. */
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { compareBytes, equalBytes, fromHex, Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { scanCbor } from '#core/codec/cbor-scan.ts';
import { decodeCbor, decodeCborList, encodeCbor } from '#core/codec/cbor.ts';
import { decodeIncomingRequest } from '#roles/wire/client.ts';
import { decodeLobbyReply, decodeLobbyRequest } from '#roles/wire/lobby.ts';
import { decodeNodeReply, decodeNodeRequest } from '#roles/wire/node-requests.ts';
import { decode } from 'cborg';
import {
  bytesOf,
  intBetween,
  listOf,
  nullable,
  record,
  textUpTo,
  u64,
  union,
} from '#core/codec/shape.ts';

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ maxLength: 5 }).filter((key) => key !== '__proto__'),
      tie('any'),
      {
        maxKeys: 4,
        noNullPrototype: true,
      },
    ),
  ),
})).any;

test('a value decodes from its encoding unchanged, and has one encoding', () => {
  fc.assert(
    fc.property(value, (each) => {
      const bytes = encodeCbor(each);
      const decoded = decodeCbor(bytes);
      expect(decoded.ok).toBe(true);
      if (decoded.ok) expect(toHex(encodeCbor(decoded.value))).toBe(toHex(bytes));
    }),
  );
});

test('bytes that decode are the encoding of their value, so no second form is accepted', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (bytes) => {
      const decoded = decodeCbor(bytes);
      if (decoded.ok) expect(toHex(encodeCbor(decoded.value))).toBe(toHex(bytes));
    }),
    { numRuns: 3_000 },
  );
});

test.each([
  ['an indefinite list', '9f01ff'],
  ['a non-minimal number', '1801'],
  ['a repeated key', 'a2616101616102'],
  ['undefined', 'f7'],
  ['a tag', 'c001'],
  ['trailing bytes', '0101'],
  ['a cut text', '6261'],
  ['a float', 'f93e00'],
  ['invalid UTF-8', '6180'],
  ['keys out of order', 'a2616201616102'],
  ['unbounded nesting', '81'.repeat(200) + '01'],
])('%s is malformed', (_what, hex) => {
  const bytes = fromHex(hex);
  expect(bytes.ok && decodeCbor(bytes.value).ok).toBe(false);
});

test('a shape accepts exactly its fields', () => {
  const shape = union({ put: record({ name: bytesOf(2), size: intBetween(0, 9) }) });
  const fits = { kind: 'put', name: new Uint8Array(2), size: 3 };
  expect(shape(fits)).toEqual(fits);
  expect(shape({ ...fits, extra: 1 })).toBeUndefined();
  expect(shape({ kind: 'put', name: new Uint8Array(2) })).toBeUndefined();
  expect(shape({ ...fits, size: 10 })).toBeUndefined();
  expect(shape({ ...fits, size: 1.5 })).toBeUndefined();
  expect(shape({ ...fits, name: new Uint8Array(3) })).toBeUndefined();
  expect(shape({ ...fits, kind: 'toString' })).toBeUndefined();
  expect(shape([fits])).toBeUndefined();
});

test('lists, texts, null and big numbers are bounded', () => {
  expect(listOf(textUpTo(2), 2)(['a', 'bb'])).toEqual(['a', 'bb']);
  expect(listOf(textUpTo(2), 2)(['a', 'b', 'c'])).toBeUndefined();
  expect(listOf(textUpTo(2), 2)(['abc'])).toBeUndefined();
  expect(nullable(textUpTo(1))(null)).toBeNull();
  expect(u64(5)).toBe(5n);
  expect(u64((1n << 64n) - 1n)).toBe((1n << 64n) - 1n);
  expect(u64(1n << 64n)).toBeUndefined();
  expect(u64(-1)).toBeUndefined();
});

test('a fixed layout reads back; one byte more or less is rejected', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ maxLength: 9 }),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      (fixed, sized, big) => {
        const bytes = new Writer().fixed(fixed, 4).sized(sized).u64(big).u8(7).finish();
        const read = (from: Uint8Array): boolean => {
          const reader = new Reader(from);
          const same =
            equalBytes(reader.fixed(4), fixed) &&
            equalBytes(reader.sized(9), sized) &&
            reader.u64() === big &&
            reader.u8() === 7;
          return reader.finish() && same;
        };
        expect(read(bytes)).toBe(true);
        expect(read(bytes.slice(0, -1))).toBe(false);
        expect(read(new Uint8Array([...bytes, 0]))).toBe(false);
      },
    ),
  );
});

test('a sized part above its bound is rejected before it is read', () => {
  const bytes = new Writer().sized(new Uint8Array(10)).finish();
  const reader = new Reader(bytes);
  expect(reader.sized(9).length).toBe(0);
  expect(reader.finish()).toBe(false);
});

test('hex has one form, and bytes have one order', () => {
  expect(fromHex('0aff')).toEqual({ ok: true, value: new Uint8Array([10, 255]) });
  expect(fromHex('0AFF').ok).toBe(false);
  expect(fromHex('0af').ok).toBe(false);
  expect(compareBytes(new Uint8Array([1]), new Uint8Array([1, 0]))).toBeLessThan(0);
  expect(compareBytes(new Uint8Array([2]), new Uint8Array([1, 255]))).toBeGreaterThan(0);
});

// The library builds values only after a scan has counted the items.
vi.mock('cborg', { spy: true });

/** A list of `count` items with the same bytes, with the shortest head. */
function listOfItems(count: number, item: readonly number[]): Uint8Array {
  const head = encodeCbor(count);
  head[0] = (head[0] ?? 0) | 0x80;
  const bytes = new Uint8Array(head.length + count * item.length);
  bytes.set(head);
  for (let i = 0; i < count; i++) bytes.set(item, head.length + i * item.length);
  return bytes;
}

/** A map of `count` different keys. */
function mapOfKeys(count: number): Uint8Array {
  const head = encodeCbor(count);
  head[0] = (head[0] ?? 0) | 0xa0;
  const keys = Array.from({ length: count }, (_, i) => [
    0x64,
    ...new TextEncoder().encode(i.toString(36).padStart(4, '0')),
    0,
  ]);
  return Uint8Array.from([...head, ...keys.flat()]);
}

const mebibyte = 1024 * 1024;
test.each([
  ['integers', listOfItems(mebibyte, [1])],
  ['empty lists', listOfItems(mebibyte, [0x80])],
  ['empty maps', listOfItems(mebibyte, [0xa0])],
  ['empty texts', listOfItems(mebibyte, [0x60])],
  ['empty byte strings', listOfItems(mebibyte, [0x40])],
  ['small maps', listOfItems(mebibyte / 4, [0xa1, 0x61, 0x61, 1])],
  ['keys of one map', mapOfKeys(20_000)],
])('a mebibyte of %s is rejected at every entry point before a value is built', (_what, bytes) => {
  const read = vi.mocked(decode);
  const entryPoints = [
    decodeIncomingRequest,
    decodeNodeRequest,
    decodeNodeReply,
    decodeLobbyRequest,
    decodeLobbyReply,
    decodeCbor,
    decodeCborList,
  ];
  for (const open of entryPoints) {
    read.mockClear();
    expect(open(bytes)).toEqual({ ok: false, error: 'malformed' });
    expect(read).not.toHaveBeenCalled();
  }
  expect(decodeCbor(listOfItems(8_000, [1])).ok).toBe(true);
  expect(read).toHaveBeenCalled();
});

test('the scan counts items and stops at its bounds', () => {
  const bounds = { maxItems: 10, maxDepth: 2 };
  const count = (each: unknown): number | undefined => scanCbor(encodeCbor(each), bounds);
  expect(count(7)).toBe(1);
  expect(count([1, { a: null }, new Uint8Array(9)])).toBe(6);
  expect(count(Array.from({ length: 9 }, () => 0))).toBe(10);
  expect(count(Array.from({ length: 10 }, () => 0))).toBeUndefined();
  expect(count([[1]])).toBe(3);
  expect(count([[[1]]])).toBeUndefined();
  expect(count([[[]]])).toBe(3);
  expect(count([[[]], 1])).toBe(4);
});

test('scanned bytes are within the bounds, and our own encodings pass the scan', () => {
  fc.assert(
    fc.property(value, (each) => {
      const bytes = encodeCbor(each);
      expect(scanCbor(bytes, { maxItems: 10_000, maxDepth: 12 })).toBeGreaterThan(0);
      for (const cut of [bytes.subarray(0, -1), Uint8Array.from([...bytes, 0])]) {
        expect(scanCbor(cut, { maxItems: 10_000, maxDepth: 12 })).toBeUndefined();
      }
    }),
  );
});

test('a list that announces more items than bytes follow is rejected at its head', () => {
  for (const head of [
    '9b0000000100000000',
    '9bffffffffffffffff',
    'bb00ffffffffffffff',
    '5bffffffffffffffff',
  ]) {
    const bytes = fromHex(head);
    expect(bytes.ok && scanCbor(bytes.value, { maxItems: 2 ** 52, maxDepth: 12 })).toBeUndefined();
  }
});
