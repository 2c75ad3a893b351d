/**
 * Self-encryption, the plan only: how a file is cut and which key encrypts each piece.
 *
 * Two passes: the first hashes every plain piece, the second encrypts it. Piece i is encrypted with
 * AES-256-GCM under
 *
 *     key(32) ‖ nonce(12) = HKDF-SHA-256(ikm = h(i) ‖ h(i−1) ‖ h(i−2), salt = secret,
 *                                        info = 'safe/v1/piece/' ‖ i)
 *
 * with h the SHA-256 of a plain piece and indices cyclic, so one changed byte changes three chunks
 * and no piece can be decrypted without the data map. The secret prevents testing whether a Safe
 * contains a known file. A key and nonce encrypt only one content, because the content's hash is in
 * them: check that hash before encrypting (a file may change between the passes).
 * The jobs `runtime/jobs/encrypt-pieces.ts` do both, with `runtime/jobs/ciphers.ts`.
 */
import { assert } from '#core/assert.ts';
import { concat } from '#core/codec/bytes.ts';
import { hkdf } from '#crypto/hash.ts';
import { PIECE_BYTES } from './chunk.ts';

export const FILE_SECRET_BYTES = 32;

/** Key and nonce for one AES-256-GCM encryption. */
export interface PieceKey {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 12 bytes. */
  readonly nonce: Uint8Array;
}

/** A range of bytes in a file: [from, to). */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** The part of one piece that a range read needs; `from` and `to` are relative to the piece. */
export interface PieceRange extends ByteRange {
  readonly index: number;
}

/** @returns how many pieces a file of `size` bytes has; an empty file has none. */
export const pieceCount = (size: number): number => Math.ceil(size / PIECE_BYTES);

/** @returns the byte range of piece `index` in a file of `size` bytes. */
export function pieceRange(size: number, index: number): ByteRange {
  assert(Number.isInteger(index) && index >= 0 && index < pieceCount(size), 'a piece of this file');
  return { from: index * PIECE_BYTES, to: Math.min(size, (index + 1) * PIECE_BYTES) };
}

/**
 * The pieces that overlap [from, to), in order.
 * @param to is clamped to the end of the file; an empty range overlaps none.
 */
export function piecesInRange(size: number, from: number, to: number): readonly PieceRange[] {
  assert(from >= 0 && from <= to, 'a range runs forward');
  const end = Math.min(to, size);
  const ranges: PieceRange[] = [];
  for (let index = Math.floor(from / PIECE_BYTES); index * PIECE_BYTES < end; index++) {
    const piece = pieceRange(size, index);
    const first = Math.max(from, piece.from);
    const last = Math.min(end, piece.to);
    if (first < last) ranges.push({ index, from: first - piece.from, to: last - piece.from });
  }
  return ranges;
}

/**
 * The key of piece `index`.
 * @param secret the file's 32 bytes
 * @param plainHashes SHA-256 of every plain piece of the file, in order
 */
export function pieceKey(
  secret: Uint8Array,
  plainHashes: readonly Uint8Array[],
  index: number,
): PieceKey {
  assert(secret.length === FILE_SECRET_BYTES, 'a file secret has 32 bytes');
  const count = plainHashes.length;
  const hash = (back: number): Uint8Array => {
    // Twice the count keeps the index positive when there are fewer than three pieces.
    const at = plainHashes[(index - back + 2 * count) % count];
    assert(at !== undefined && at.length === 32, 'every piece has a hash of 32 bytes');
    return at;
  };
  return expand(concat(hash(0), hash(1), hash(2)), secret, `safe/v1/piece/${index}`);
}

/** The key of the file's data map, from the secret alone, which encrypts only this map. */
export function dataMapKey(secret: Uint8Array): PieceKey {
  assert(secret.length === FILE_SECRET_BYTES, 'a file secret has 32 bytes');
  return expand(secret, new Uint8Array(32), 'safe/v1/data-map');
}

function expand(ikm: Uint8Array, salt: Uint8Array, info: string): PieceKey {
  const bytes = hkdf(ikm, salt, info, 44);
  return { key: bytes.slice(0, 32), nonce: bytes.slice(32) };
}
