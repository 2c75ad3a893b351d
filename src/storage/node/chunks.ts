/**
 * Chunks as files: `<folder>/ab/<name>`. A chunk counts as stored when its file, its name and the
 * folder that lists the name are all synced; until then the bytes lie in `<folder>/new/`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { kindOfError } from './problem.ts';

export interface ChunkStore {
  /**
   * Keeps `bytes` under `name` (their SHA-256). Resolves when they would survive a power cut.
   * Errors: `altered` when the name does not fit, `full`, `broken`.
   */
  readonly put: (
    name: Uint8Array,
    bytes: Uint8Array,
  ) => Promise<Result<'stored', 'altered' | 'full' | 'broken'>>;
  /** The bytes, checked against the name. A file that does not fit its name counts as lost. */
  readonly get: (name: Uint8Array) => Promise<Result<Uint8Array, 'notFound' | 'broken'>>;
  /** Frees a chunk's space; a chunk that is not there is none. */
  readonly remove: (name: Uint8Array) => Promise<void>;
  /** Names (hex) of all chunks held, in no order. */
  readonly names: () => Iterable<string>;
  readonly usedBytes: () => number;
}

/**
 * Opens the store and removes what a crash left half written.
 * @param maxBytes chunks beyond this are `full`, whatever the disk says.
 */
export function openChunks(folder: string, maxBytes = Number.POSITIVE_INFINITY): ChunkStore {
  const fresh = join(folder, 'new');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true, mode: 0o700 });
  /** A name being written: a second put waits for the first instead of trusting its rename. */
  const writing = new Map<string, Promise<void>>();

  const sizeByName = sizesIn(folder);
  let used = 0;
  let pending = 0;
  for (const size of sizeByName.values()) used += size;
  const forget = (hex: string): void => {
    used -= sizeByName.get(hex) ?? 0;
    sizeByName.delete(hex);
  };

  const pathOf = (hex: string): string => join(folder, hex.slice(0, 2), hex);

  const get: ChunkStore['get'] = async (name) => {
    const hex = toHex(name);
    const path = pathOf(hex);
    try {
      const bytes = await readFile(path);
      if (fits(name, bytes))
        return ok(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
      await unlink(path);
      forget(hex);
      return err('notFound');
    } catch (error) {
      return err((error as { code?: string }).code === 'ENOENT' ? 'notFound' : 'broken');
    }
  };

  const store = async (hex: string, bytes: Uint8Array): Promise<void> => {
    const temporary = join(fresh, randomUUID());
    const shelf = join(folder, hex.slice(0, 2));
    try {
      await writeSynced(temporary, bytes);
      if ((await mkdir(shelf, { recursive: true, mode: 0o700 })) !== undefined) {
        await syncFolder(folder);
      }
      await rename(temporary, join(shelf, hex));
      await syncFolder(shelf);
      forget(hex);
      sizeByName.set(hex, bytes.length);
      used += bytes.length;
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  };

  return {
    get,
    put: async (name, bytes) => {
      if (!fits(name, bytes)) return err('altered');
      const hex = toHex(name);
      try {
        await writing.get(hex);
        if ((await get(name)).ok) return ok('stored');
        if (used + pending + bytes.length > maxBytes) return err('full');
        const stored = (writing.get(hex) ?? Promise.resolve()).then(() => store(hex, bytes));
        writing.set(hex, stored);
        // Counted while it is written: puts at the same time share what is left.
        pending += bytes.length;
        try {
          await stored;
        } finally {
          pending -= bytes.length;
          if (writing.get(hex) === stored) writing.delete(hex);
        }
        return ok('stored');
      } catch (error) {
        return err(kindOfError(error) === 'full' ? 'full' : 'broken');
      }
    },
    remove: async (name) => {
      const hex = toHex(name);
      await writing.get(hex)?.catch(() => undefined);
      await unlink(pathOf(hex)).catch(() => undefined);
      forget(hex);
    },
    names: () => sizeByName.keys(),
    usedBytes: () => used,
  };
}

function sizesIn(folder: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const shelf of readdirSync(folder)) {
    if (!/^[0-9a-f]{2}$/.test(shelf)) continue;
    for (const hex of readdirSync(join(folder, shelf))) {
      sizes.set(hex, statSync(join(folder, shelf, hex)).size);
    }
  }
  return sizes;
}

const fits = (name: Uint8Array, bytes: Uint8Array): boolean =>
  equalBytes(createHash('sha256').update(bytes).digest(), name);

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A rename is durable once the folder that lists the new name is (POSIX; Windows has no such call). */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
