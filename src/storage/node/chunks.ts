/** Stores chunks by name within a limit, and finds what is stored. */
import { toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { isNameOf, openChunkFiles } from './chunk-files.ts';
import { createChunkSizes } from './chunk-sizes.ts';
import { kindOfError } from './problem.ts';

export interface ChunkStore {
  /**
   * Stores `bytes` under `name` (their SHA-256). Resolves when they would survive a power cut. Errors:
   * `altered` when the name does not match, `full`, `broken`.
   */
  readonly put: (
    name: Uint8Array,
    bytes: Uint8Array,
  ) => Promise<Result<'stored', 'altered' | 'full' | 'broken'>>;
  /** The bytes, checked against the name. A file that does not match its name counts as lost. */
  readonly get: (name: Uint8Array) => Promise<Result<Uint8Array, 'notFound' | 'broken'>>;
  /** Frees a chunk's space; removing an absent chunk does nothing. */
  readonly remove: (name: Uint8Array) => Promise<void>;
  /** The stored chunks, page by page, in no order. Ends when the whole folder has been walked. */
  readonly pages: () => AsyncIterable<readonly StoredChunk[]>;
  /** Bytes found by the walk so far. */
  readonly usedBytes: () => number;
}

export interface StoredChunk {
  /** 64 hex digits. */
  readonly name: string;
  readonly size: number;
}

/** Names per page. */
const pageNames = 512;

/**
 * Opens the store, removes files that a crash left incomplete, and starts to walk the folder: reads are
 * answered immediately, writes wait until the used space is known.
 * @param limitBytes more chunks than this are `full`, even if the disk has space.
 */
export function openChunks(
  folder: string,
  limitBytes: () => number = () => Number.POSITIVE_INFINITY,
): ChunkStore {
  const files = openChunkFiles(folder);
  const sizes = createChunkSizes(folder);
  const withNameLock = createNameLock();
  let pending = 0;

  const removeFile = async (hex: string): Promise<void> => {
    await files.remove(hex);
    sizes.remove(hex);
  };
  /** Reads again when no put is in progress: the file may have been replaced by a good one meanwhile. */
  const dropAltered = (name: Uint8Array): Promise<void> =>
    withNameLock(toHex(name), async () => {
      const now = await files.read(name);
      if (!now.ok && now.error === 'altered') await removeFile(toHex(name));
    });

  const putLocked = async (
    name: Uint8Array,
    bytes: Uint8Array,
  ): Promise<Result<'stored', 'full'>> => {
    const hex = toHex(name);
    if ((await files.read(name)).ok) {
      await files.syncName(hex);
      return ok('stored');
    }
    if (sizes.usedBytes() + pending + bytes.length > limitBytes()) return err('full');
    // Counted while it is being written: concurrent puts share the remaining space.
    pending += bytes.length;
    try {
      await files.write(hex, bytes);
      sizes.set(hex, bytes.length);
    } finally {
      pending -= bytes.length;
    }
    return ok('stored');
  };

  return {
    get: async (name) => {
      const found = await files.read(name);
      if (found.ok) return found;
      if (found.error !== 'altered') return err(found.error);
      try {
        await dropAltered(name);
        return err('notFound');
      } catch {
        return err('broken');
      }
    },
    put: async (name, bytes) => {
      if (!isNameOf(name, bytes)) return err('altered');
      try {
        await sizes.known();
        return await withNameLock(toHex(name), () => putLocked(name, bytes));
      } catch (error) {
        return err(kindOfError(error) === 'full' ? 'full' : 'broken');
      }
    },
    remove: async (name) => {
      const hex = toHex(name);
      await sizes.known().catch(() => undefined);
      await withNameLock(hex, () => removeFile(hex)).catch(() => undefined);
    },
    async *pages() {
      await sizes.known();
      const stored = sizes.entries().map(([name, size]) => ({ name, size }));
      for (let at = 0; at <= stored.length; at += pageNames) yield stored.slice(at, at + pageNames);
    },
    usedBytes: sizes.usedBytes,
  };
}

/** Serializes the changes of a name, so that each acts on the state it has read. */
function createNameLock(): <T>(hex: string, change: () => Promise<T>) => Promise<T> {
  const lastByName = new Map<string, Promise<unknown>>();
  return async (hex, change) => {
    const result = (lastByName.get(hex) ?? Promise.resolve()).then(change);
    const settled = result.catch(() => undefined);
    lastByName.set(hex, settled);
    try {
      return await result;
    } finally {
      if (lastByName.get(hex) === settled) lastByName.delete(hex);
    }
  };
}
