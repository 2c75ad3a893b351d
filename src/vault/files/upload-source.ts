/** Reads and hashes the chosen file of an upload, piece by piece. */
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { pieceCount, pieceRange } from '#data/self-encryption.ts';
import { VaultFailure } from '../failure.ts';
import type { Transfer } from './transfer.ts';

/**
 * Pass 1. Reads the file once; only one piece is in memory.
 * @param changed called after each piece
 * @returns the SHA-256 of each piece
 */
export async function hashPieces(
  transfer: Transfer,
  file: File,
  changed: () => void,
): Promise<readonly Uint8Array[]> {
  const hashes: Uint8Array[] = [];
  for (let i = 0; i < pieceCount(file.size); i++) {
    transfer.cancelled.signal.throwIfAborted();
    const piece = await readPiece(file, i);
    hashes.push(await sha256Fast(piece));
    transfer.meter.update(pieceRange(file.size, i).to);
    changed();
  }
  transfer.cancelled.signal.throwIfAborted();
  return hashes;
}

/** Errors: `fileChanged` for a file that was moved, deleted or saved again since it was chosen. */
export async function readPiece(file: File, index: number): Promise<Uint8Array> {
  const { from, to } = pieceRange(file.size, index);
  const bytes = await file
    .slice(from, to)
    .arrayBuffer()
    .catch(() => null);
  // Some file systems return fewer bytes than requested and no error.
  if (bytes?.byteLength !== to - from) throw fileChanged();
  return new Uint8Array(bytes);
}

export const fileChanged = (): VaultFailure =>
  new VaultFailure(
    'fileChanged',
    'The file is not the one this upload began with. Cancel the upload and add the file again.',
  );
