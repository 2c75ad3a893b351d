/** Sealing and opening the pieces of a file, and reading any range of it with bounded memory. */
import { equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { plainHashesOf, decodeDataMap, encodeDataMap, type DataMap } from '#data/data-map.ts';
import { dataMapKey, pieceKey, piecesTouched, type PieceRange } from '#data/self-encryption.ts';
import { open, seal, sha256Fast } from './ciphers.ts';

export interface SealedPiece {
  readonly name: Uint8Array;
  readonly bytes: Uint8Array;
}

/**
 * Seals piece `index`.
 * @returns `fileChanged` when the bytes are not those of the first pass: their key would then seal
 *   two contents, so nothing is sealed.
 */
export async function sealPiece(
  secret: Uint8Array,
  plainHashes: readonly Uint8Array[],
  index: number,
  plainBytes: Uint8Array,
): Promise<Result<SealedPiece, 'fileChanged'>> {
  const expected = plainHashes[index];
  if (expected === undefined || !equalBytes(await sha256Fast(plainBytes), expected)) {
    return err('fileChanged');
  }
  const bytes = await seal(pieceKey(secret, plainHashes, index), plainBytes);
  return ok({ name: await sha256Fast(bytes), bytes });
}

/** @returns the plain piece; `chunkAltered` when name, seal or content do not fit the data map. */
export async function openPiece(
  secret: Uint8Array,
  map: DataMap,
  index: number,
  chunk: Uint8Array,
): Promise<Result<Uint8Array, 'chunkAltered'>> {
  const entry = map.entries[index];
  if (entry === undefined) return err('chunkAltered');
  if (!equalBytes(await sha256Fast(chunk), entry.chunkName)) return err('chunkAltered');
  const plainBytes = await open(pieceKey(secret, plainHashesOf(map), index), chunk);
  if (plainBytes === null) return err('chunkAltered');
  const intact = equalBytes(await sha256Fast(plainBytes), entry.plainHash);
  return intact ? ok(plainBytes) : err('chunkAltered');
}

/** The data map as one chunk. */
export async function sealDataMap(secret: Uint8Array, map: DataMap): Promise<SealedPiece> {
  const bytes = await seal(dataMapKey(secret), encodeDataMap(map));
  return { name: await sha256Fast(bytes), bytes };
}

export async function openDataMap(
  secret: Uint8Array,
  name: Uint8Array,
  chunk: Uint8Array,
): Promise<Result<DataMap, 'chunkAltered'>> {
  if (!equalBytes(await sha256Fast(chunk), name)) return err('chunkAltered');
  const bytes = await open(dataMapKey(secret), chunk);
  const map = bytes === null ? err('malformed' as const) : decodeDataMap(bytes);
  return map.ok ? map : err('chunkAltered');
}

/** Thrown into a read that cannot go on; names the piece. */
export class PieceError extends Error {
  readonly kind: 'chunkAltered';
  readonly index: number;

  constructor(index: number) {
    super(`piece ${index} is not what its data map says`);
    this.kind = 'chunkAltered';
    this.index = index;
  }
}

/**
 * The plain bytes [from, to) of a file, piece by piece and in order.
 * @param getChunk fetches one chunk by name; what it throws ends the read
 * @param ahead pieces fetched beyond the one being read: memory is (ahead + 1) × 2 MiB
 * @throws PieceError when a chunk is not what the data map says
 */
export async function* readRange(
  file: { readonly map: DataMap; readonly secret: Uint8Array },
  from: number,
  to: number,
  getChunk: (name: Uint8Array) => Promise<Uint8Array>,
  ahead = 3,
): AsyncGenerator<Uint8Array, void, undefined> {
  const touched = piecesTouched(file.map.size, from, to);
  const running: Promise<Uint8Array>[] = [];
  const fetchPiece = async (piece: PieceRange): Promise<Uint8Array> => {
    const entry = file.map.entries[piece.index];
    if (entry === undefined) throw new PieceError(piece.index);
    const opened = await openPiece(
      file.secret,
      file.map,
      piece.index,
      await getChunk(entry.chunkName),
    );
    if (!opened.ok) throw new PieceError(piece.index);
    return opened.value.subarray(piece.from, piece.to);
  };
  let next = 0;
  while (next < touched.length || running.length > 0) {
    while (next < touched.length && running.length <= ahead) {
      const piece = touched[next++];
      if (piece === undefined) break;
      const fetching = fetchPiece(piece);
      // A piece that fails while an earlier one is read is reported in its turn, not before.
      fetching.catch(() => undefined);
      running.push(fetching);
    }
    const first = running.shift();
    if (first !== undefined) yield await first;
  }
}
