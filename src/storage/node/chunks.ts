/**
 * Chunks as files: `<folder>/ab/<name>`. A chunk counts as stored when its file, its name and the
 * folder that lists the name are all synced; until then the bytes lie in `<folder>/new/`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
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
  /** What is held, page by page, in no order. Ends when the folder has been walked to its end. */
  readonly pages: () => AsyncIterable<readonly StoredChunk[]>;
  /** Of what has been walked so far. */
  readonly usedBytes: () => number;
}

export interface StoredChunk {
  /** 64 hex digits. */
  readonly name: string;
  readonly size: number;
}

/** The pause after the second walk that failed; it doubles up to a minute. */
const firstPauseMs = 1_000;
const mostPauseMs = 60_000;

/** Changes of a folder's names, and how many of them the last sync has covered. */
interface Listing {
  changes: number;
  synced: number;
}

/** Names in one page. */
const pageNames = 512;
/** Files whose sizes are asked for at once: a walk must not take the disk from writers. */
const statsAtOnce = 16;

/**
 * Opens the store, removes what a crash left half written, and begins to walk the folder: reads are
 * answered at once, writes wait until it is known how much there is.
 * @param limitBytes chunks beyond this are `full`, whatever the disk says.
 */
export function openChunks(
  folder: string,
  limitBytes: () => number = () => Number.POSITIVE_INFINITY,
): ChunkStore {
  const fresh = join(folder, 'new');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true, mode: 0o700 });
  /** One change of a name after the other: what one has seen is still so when it acts on it. */
  const changing = new Map<string, Promise<unknown>>();
  const alone = async <T>(hex: string, change: () => Promise<T>): Promise<T> => {
    const changed = (changing.get(hex) ?? Promise.resolve()).then(change);
    const settled = changed.then(
      () => undefined,
      () => undefined,
    );
    changing.set(hex, settled);
    try {
      return await changed;
    } finally {
      if (changing.get(hex) === settled) changing.delete(hex);
    }
  };

  const sizeByName = new Map<string, number>();
  let used = 0;
  let pending = 0;
  let walked: Promise<void> | undefined;
  let failures = 0;
  let againAtMs = 0;
  /** Removed while the folder is walked: what the walk saw of these counts no more. */
  const gone = new Set<string>();
  /** A folder that could not be read is walked again for a later caller: for the next one, then after a pause. */
  const allWalked = (): Promise<void> => {
    if (walked !== undefined && (againAtMs === 0 || performance.now() < againAtMs)) return walked;
    againAtMs = 0;
    gone.clear();
    walked = walk(folder).then(
      (found) => {
        for (const [hex, size] of found) {
          if (gone.has(hex)) continue;
          sizeByName.set(hex, size);
          used += size;
        }
      },
      (error: unknown) => {
        againAtMs = performance.now() + Math.min(mostPauseMs, failures * firstPauseMs);
        failures = 2 * failures + 1;
        throw error;
      },
    );
    return walked;
  };
  allWalked().catch(() => undefined); // The next caller walks again.
  const forget = (hex: string): void => {
    gone.add(hex);
    used -= sizeByName.get(hex) ?? 0;
    sizeByName.delete(hex);
  };

  const shelfOf = (hex: string): string => join(folder, hex.slice(0, 2));
  const pathOf = (hex: string): string => join(shelfOf(hex), hex);
  /**
   * Shelves that are there for good, and their names, as far as this life knows: an earlier one may have ended,
   * or failed, between a change and its sync. A name that is seen is no proof.
   */
  const shelves = new Map<string, Promise<void>>();
  const shelfThere = (shelf: string): Promise<void> => {
    const known = shelves.get(shelf);
    if (known !== undefined) return known;
    const made = (async () => {
      await mkdir(shelf, { recursive: true, mode: 0o700 });
      await syncFolder(folder);
    })();
    shelves.set(shelf, made);
    made.catch(() => shelves.delete(shelf));
    return made;
  };
  const lists = new Map<string, Listing>();
  const listed = async (shelf: string): Promise<void> => {
    const list = lists.get(shelf) ?? { changes: 1, synced: 0 };
    lists.set(shelf, list);
    const { changes } = list;
    if (list.synced >= changes) return;
    await syncFolder(shelf);
    list.synced = Math.max(list.synced, changes);
  };
  const changed = (shelf: string): void => {
    const list = lists.get(shelf) ?? { changes: 0, synced: 0 };
    lists.set(shelf, list);
    list.changes += 1;
  };

  /** `altered`: a file is there that does not fit its name. */
  const read = async (
    name: Uint8Array,
  ): Promise<Result<Uint8Array, 'notFound' | 'altered' | 'broken'>> => {
    try {
      const bytes = await readFile(pathOf(toHex(name)));
      if (!fits(name, bytes)) return err('altered');
      return ok(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
    } catch (error) {
      return err((error as { code?: string }).code === 'ENOENT' ? 'notFound' : 'broken');
    }
  };
  const removeFile = async (hex: string): Promise<void> => {
    await unlink(pathOf(hex)).catch(unlessGone);
    forget(hex);
  };
  /** Looks again when no put is under way: the file may have been replaced by a good one meanwhile. */
  const dropAltered = async (name: Uint8Array): Promise<void> => {
    const hex = toHex(name);
    await alone(hex, async () => {
      const now = await read(name);
      if (!now.ok && now.error === 'altered') await removeFile(hex);
    });
  };

  const store = async (hex: string, bytes: Uint8Array): Promise<void> => {
    const temporary = join(fresh, randomUUID());
    const shelf = shelfOf(hex);
    try {
      await writeSynced(temporary, bytes);
      await shelfThere(shelf);
      await rename(temporary, pathOf(hex));
      changed(shelf);
      await listed(shelf);
      forget(hex);
      sizeByName.set(hex, bytes.length);
      used += bytes.length;
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  };

  return {
    get: async (name) => {
      const found = await read(name);
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
      if (!fits(name, bytes)) return err('altered');
      const hex = toHex(name);
      try {
        await allWalked();
        return await alone(hex, async () => {
          if ((await read(name)).ok) {
            await shelfThere(shelfOf(hex));
            await listed(shelfOf(hex));
            return ok('stored');
          }
          if (used + pending + bytes.length > limitBytes()) return err('full');
          // Counted while it is written: puts at the same time share what is left.
          pending += bytes.length;
          try {
            await store(hex, bytes);
          } finally {
            pending -= bytes.length;
          }
          return ok('stored');
        });
      } catch (error) {
        return err(kindOfError(error) === 'full' ? 'full' : 'broken');
      }
    },
    remove: async (name) => {
      const hex = toHex(name);
      await allWalked().catch(() => undefined);
      await alone(hex, () => removeFile(hex)).catch(() => undefined);
    },
    pages: async function* () {
      await allWalked();
      let page: StoredChunk[] = [];
      for (const [name, size] of [...sizeByName]) {
        page.push({ name, size });
        if (page.length < pageNames) continue;
        yield page;
        page = [];
      }
      yield page;
    },
    usedBytes: () => used,
  };
}

/** Every chunk in the folder with its size. A file that goes away meanwhile is none. */
async function walk(folder: string): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const shelf of await namesIn(folder)) {
    if (!/^[0-9a-f]{2}$/.test(shelf)) continue;
    const names = (await namesIn(join(folder, shelf))).filter((hex) => /^[0-9a-f]{64}$/.test(hex));
    for (let at = 0; at < names.length; at += statsAtOnce) {
      await Promise.all(
        names.slice(at, at + statsAtOnce).map(async (hex) => {
          const file = await stat(join(folder, shelf, hex)).catch(unlessGone);
          if (file !== undefined) found.set(hex, file.size);
        }),
      );
    }
  }
  return found;
}

const namesIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder).catch(unlessGone)) ?? [];

function unlessGone(error: unknown): undefined {
  if ((error as { code?: string }).code === 'ENOENT') return undefined;
  throw error;
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
