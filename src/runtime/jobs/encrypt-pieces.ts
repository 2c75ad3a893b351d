/** Encrypts and decrypts the pieces of a file, and reads any range of it with bounded memory. */
import { equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { plainHashesOf, decodeDataMap, encodeDataMap, type DataMap } from '#data/data-map.ts';
import { dataMapKey, pieceKey, piecesInRange, type PieceRange } from '#data/self-encryption.ts';
import { decrypt, encrypt, sha256Fast } from './ciphers.ts';

export interface EncryptedPiece {
  readonly name: Uint8Array;
  readonly bytes: Uint8Array;
}

/**
 * Encrypts piece `index`.
 * @returns `fileChanged` when the bytes differ from the first pass: their key would then encrypt two
 * contents, so nothing is encrypted.
 */
export async function encryptPiece(
  secret: Uint8Array,
  plainHashes: readonly Uint8Array[],
  index: number,
  plainBytes: Uint8Array,
): Promise<Result<EncryptedPiece, 'fileChanged'>> {
  const expected = plainHashes[index];
  if (expected === undefined || !equalBytes(await sha256Fast(plainBytes), expected)) {
    return err('fileChanged');
  }
  const bytes = await encrypt(pieceKey(secret, plainHashes, index), plainBytes);
  return ok({ name: await sha256Fast(bytes), bytes });
}

/** @returns the plain piece; `chunkAltered` when name, tag or content does not match the data map. */
export async function decryptPiece(
  secret: Uint8Array,
  map: DataMap,
  index: number,
  chunk: Uint8Array,
): Promise<Result<Uint8Array, 'chunkAltered'>> {
  const entry = map.entries[index];
  if (entry === undefined) return err('chunkAltered');
  if (!equalBytes(await sha256Fast(chunk), entry.chunkName)) return err('chunkAltered');
  const plainBytes = await decrypt(pieceKey(secret, plainHashesOf(map), index), chunk);
  if (plainBytes === null) return err('chunkAltered');
  const intact = equalBytes(await sha256Fast(plainBytes), entry.plainHash);
  return intact ? ok(plainBytes) : err('chunkAltered');
}

/** The data map as one chunk. */
export async function encryptDataMap(secret: Uint8Array, map: DataMap): Promise<EncryptedPiece> {
  const bytes = await encrypt(dataMapKey(secret), encodeDataMap(map));
  return { name: await sha256Fast(bytes), bytes };
}

export async function decryptDataMap(
  secret: Uint8Array,
  name: Uint8Array,
  chunk: Uint8Array,
): Promise<Result<DataMap, 'chunkAltered'>> {
  if (!equalBytes(await sha256Fast(chunk), name)) return err('chunkAltered');
  const bytes = await decrypt(dataMapKey(secret), chunk);
  const map = bytes === null ? err('malformed' as const) : decodeDataMap(bytes);
  return map.ok ? map : err('chunkAltered');
}

/** Thrown when a read cannot continue; names the piece. */
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
 * @param getChunk fetches one chunk by name; its errors end the read
 * @param ahead pieces fetched beyond the current one: memory is (ahead + 1) × 2 MiB
 * @throws PieceError when a chunk does not match the data map
 */
export async function* readRange(
  file: { readonly map: DataMap; readonly secret: Uint8Array },
  from: number,
  to: number,
  getChunk: (name: Uint8Array) => Promise<Uint8Array>,
  ahead = 3,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = piecesInRange(file.map.size, from, to);
  const running: Promise<Uint8Array>[] = [];
  const fetchPiece = async (piece: PieceRange): Promise<Uint8Array> => {
    const entry = file.map.entries[piece.index];
    if (entry === undefined) throw new PieceError(piece.index);
    const opened = await decryptPiece(
      file.secret,
      file.map,
      piece.index,
      await getChunk(entry.chunkName),
    );
    if (!opened.ok) throw new PieceError(piece.index);
    return opened.value.subarray(piece.from, piece.to);
  };
  let next = 0;
  while (next < pieces.length || running.length > 0) {
    while (next < pieces.length && running.length <= ahead) {
      const piece = pieces[next++];
      if (piece === undefined) break;
      const fetching = fetchPiece(piece);
      // A piece that fails early is reported when its turn comes, not before.
      fetching.catch(() => undefined);
      running.push(fetching);
    }
    const first = running.shift();
    if (first !== undefined) yield await first;
  }
}
