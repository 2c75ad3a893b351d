/** Goal: files are cut, named and rejoined the same way at every boundary. */
import { hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, toHex } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { isChunk, MAX_CHUNK_BYTES, PIECE_BYTES } from '#data/chunk.ts';
import {
  checkFileSize,
  decodeDataMap,
  encodeDataMap,
  MAX_DATA_MAP_BYTES,
  MAX_FILE_BYTES,
  MAX_PIECES,
  type DataMap,
} from '#data/data-map.ts';
import {
  dataMapKey,
  pieceRange,
  pieceCount,
  pieceKey,
  piecesInRange,
} from '#data/self-encryption.ts';

const MiB = PIECE_BYTES;
const filled = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);

const mapOf = (size: number): DataMap => ({
  size,
  entries: Array.from({ length: pieceCount(size) }, (_, i) => ({
    plainHash: filled(i & 255),
    chunkName: filled((i + 7) & 255),
  })),
});

test('a chunk is named by its bytes; a changed or truncated copy does not match', () => {
  const bytes = filled(3, 100);
  const name = sha256(bytes);
  expect(isChunk(name, bytes)).toBe(true);
  expect(isChunk(name, bytes.slice(0, 99))).toBe(false);
  expect(
    isChunk(
      name,
      Uint8Array.from(bytes, (b, i) => (i === 50 ? b ^ 1 : b)),
    ),
  ).toBe(false);
  const tooLong = new Uint8Array(MAX_CHUNK_BYTES + 1);
  expect(isChunk(sha256(tooLong), tooLong)).toBe(false);
});

test.each([
  [0, 0],
  [1, 1],
  [3071, 1],
  [MiB - 1, 1],
  [MiB, 1],
  [MiB + 1, 2],
  [3 * MiB, 3],
  [3 * MiB + 1, 4],
])('a file of %i bytes has %i pieces that tile it', (size, count) => {
  expect(pieceCount(size)).toBe(count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const piece = pieceRange(size, i);
    expect(piece.from).toBe(at);
    expect(piece.to - piece.from).toBeGreaterThan(0);
    at = piece.to;
  }
  expect(at).toBe(size);
});

test('the pieces of a range make up exactly that range, in the last piece too', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 5 * MiB }),
      fc.integer({ min: 0, max: 6 * MiB }),
      fc.integer({ min: 0, max: 6 * MiB }),
      (size, a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        const end = Math.min(to, size);
        let at = Math.min(from, end);
        for (const { index, from: first, to: last } of piecesInRange(size, from, to)) {
          const piece = pieceRange(size, index);
          expect(piece.from + first).toBe(at);
          expect(last).toBeGreaterThan(first);
          expect(piece.from + last).toBeLessThanOrEqual(piece.to);
          at = piece.from + last;
        }
        expect(at).toBe(end);
      },
    ),
  );
});

test('a piece key depends on its own hash, two predecessors, the secret and its index', () => {
  const hashes = [1, 2, 3, 4, 5].map((byte) => filled(byte));
  const key = (secret: Uint8Array, list: readonly Uint8Array[], index: number): string => {
    const { key, nonce } = pieceKey(secret, list, index);
    expect([key.length, nonce.length]).toEqual([32, 12]);
    return toHex(key) + toHex(nonce);
  };
  const base = hashes.map((_, i) => key(filled(9), hashes, i));
  expect(new Set(base).size).toBe(5);
  const changed = hashes.map((hash, i) => (i === 1 ? filled(77) : hash));
  const moved = changed.map((_, i) => key(filled(9), changed, i) !== base[i]);
  expect(moved).toEqual([false, true, true, true, false]);
  expect(key(filled(8), hashes, 0)).not.toBe(base[0]);
  const equalPieces = [filled(1), filled(1), filled(1)];
  expect(new Set(equalPieces.map((_, i) => key(filled(9), equalPieces, i))).size).toBe(3);
});

test('piece keys agree with another implementation of HKDF, with cyclic predecessors', () => {
  const [secret, hashes] = [filled(9), [1, 2, 3, 4].map((byte) => filled(byte))];
  const expected = (index: number, order: readonly number[]): string => {
    const ikm = concat(...order.map((byte) => filled(byte)));
    const info = `safe/v1/piece/${index}`;
    return Buffer.from(hkdfSync('sha256', ikm, secret, info, 44)).toString('hex');
  };
  const ours = (index: number): string => {
    const { key, nonce } = pieceKey(secret, hashes, index);
    return toHex(key) + toHex(nonce);
  };
  expect(ours(0)).toBe(expected(0, [1, 4, 3]));
  expect(ours(1)).toBe(expected(1, [2, 1, 4]));
  expect(ours(3)).toBe(expected(3, [4, 3, 2]));
});

test('golden: piece keys and the data-map key of a fixed secret', () => {
  const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
  const hashes = [filled(1), filled(2), filled(3), filled(4)];
  expect(toHex(pieceKey(secret, hashes, 0).key)).toMatchInlineSnapshot(
    `"a1e12f834766ad6f79ed7a224da80d55fb5ef6eb21472aa4ce6c61b17a848daa"`,
  );
  expect(toHex(pieceKey(secret, hashes, 0).nonce)).toMatchInlineSnapshot(
    `"d8f65ccafd4ef7cca589e12e"`,
  );
  expect(toHex(pieceKey(secret, hashes, 3).key)).toMatchInlineSnapshot(
    `"b50c018e7ae4645823502523ed815e5401daaa4fbc2d414a35c64fa0442bf1f2"`,
  );
  expect(toHex(pieceKey(secret, [filled(1)], 0).key)).toMatchInlineSnapshot(
    `"6e8a54d84059f0cc840821a2cae345daffa7c00e29388286087cceadf730016e"`,
  );
  expect(toHex(dataMapKey(secret).key)).toMatchInlineSnapshot(
    `"ad18ed682a6709e4a52c36fb65b710c22819b4df8f697eec52636c26e944398a"`,
  );
});

test('a data map survives its encoding, and every malformed one is rejected', () => {
  for (const size of [0, 1, MiB, MiB + 1, 20 * MiB - 5]) {
    const bytes = encodeDataMap(mapOf(size));
    expect(decodeDataMap(bytes)).toEqual({ ok: true, value: mapOf(size) });
    expect(decodeDataMap(bytes.slice(0, -1)).ok).toBe(false);
    expect(decodeDataMap(Uint8Array.of(...bytes.slice(0, 13), ...bytes.slice(13), 0)).ok).toBe(
      false,
    );
  }
  const bytes = encodeDataMap(mapOf(3 * MiB));
  const sizeGrown = bytes.slice();
  sizeGrown[5] = 1;
  expect(decodeDataMap(sizeGrown).ok).toBe(false);
  const otherVersion = bytes.slice();
  otherVersion[0] = 2;
  expect(decodeDataMap(otherVersion).ok).toBe(false);
});

test('decoding a data map never throws, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      decodeDataMap(bytes);
    }),
  );
});

test('the largest file fits one map in one chunk; one byte more is too large', () => {
  expect(checkFileSize(MAX_FILE_BYTES).ok).toBe(true);
  expect(checkFileSize(MAX_FILE_BYTES + 1)).toEqual({ ok: false, error: 'tooLarge' });
  expect(pieceCount(MAX_FILE_BYTES)).toBe(MAX_PIECES);
  const bytes = encodeDataMap(mapOf(MAX_FILE_BYTES));
  expect(bytes.length).toBe(MAX_DATA_MAP_BYTES);
  expect(bytes.length + 16).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
  expect(decodeDataMap(bytes).ok).toBe(true);
});
