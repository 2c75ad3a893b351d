/**
 * Chunk: the unit that adults store. Its name is the hash of its bytes, so anyone can verify it.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';

/** Plain bytes of one piece of a file. */
export const PIECE_BYTES = 1024 * 1024;
/** The tag AES-256-GCM adds to an encrypted piece. */
export const GCM_TAG_BYTES = 16;
export const MAX_CHUNK_BYTES = PIECE_BYTES + GCM_TAG_BYTES;

/** Is this a whole, unchanged copy of the chunk of this name? */
export const isChunk = (name: Uint8Array, bytes: Uint8Array): boolean =>
  bytes.length <= MAX_CHUNK_BYTES && equalBytes(sha256(bytes), name);
