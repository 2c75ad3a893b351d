/**
 * Chunks as files: `<folder>/ab/<name>`. A chunk is durable when its file, its name and the folder that
 * lists the name are all synced; until then the bytes are in `<folder>/new/`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';

/** Concurrent size queries: a walk must not slow down writers. */
const statsAtOnce = 16;

/** Opens the folder and removes files that a crash left incomplete. */
export function openChunkFiles(folder: string) {
  const temporaryFolder = join(folder, 'new');
  rmSync(temporaryFolder, { recursive: true, force: true });
  mkdirSync(temporaryFolder, { recursive: true, mode: 0o700 });
  const subfolders = createSubfolders(folder);
  const subfolderOf = (hex: string): string => join(folder, hex.slice(0, 2));
  const pathOf = (hex: string): string => join(subfolderOf(hex), hex);
  return {
    /** `altered`: the file does not match its name. */
    read: async (
      name: Uint8Array,
    ): Promise<Result<Uint8Array, 'notFound' | 'altered' | 'broken'>> => {
      try {
        const bytes = await readFile(pathOf(toHex(name)));
        if (!isNameOf(name, bytes)) return err('altered');
        return ok(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
      } catch (error) {
        return err((error as { code?: string }).code === 'ENOENT' ? 'notFound' : 'broken');
      }
    },
    /** Resolves when the chunk is durable. */
    write: async (hex: string, bytes: Uint8Array): Promise<void> => {
      const temporary = join(temporaryFolder, randomUUID());
      const subfolder = subfolderOf(hex);
      try {
        await writeSynced(temporary, bytes);
        await subfolders.ensure(subfolder);
        await rename(temporary, pathOf(hex));
        subfolders.markChanged(subfolder);
        await subfolders.sync(subfolder);
      } catch (error) {
        await unlink(temporary).catch(() => undefined);
        throw error;
      }
    },
    /** Makes the name of a complete file durable. */
    syncName: async (hex: string): Promise<void> => {
      await subfolders.ensure(subfolderOf(hex));
      await subfolders.sync(subfolderOf(hex));
    },
    remove: (hex: string): Promise<void> => unlink(pathOf(hex)).catch(unlessGone),
  };
}

/**
 * Durable subfolders and the listing of their names, as far as this run knows: a previous run may have
 * ended, or failed, between a change and its sync. A visible name is no proof of durability.
 */
function createSubfolders(folder: string) {
  const made = new Map<string, Promise<void>>();
  /** The number of changes of a folder's names, and how many of them the last sync covers. */
  const listings = new Map<string, { changes: number; synced: number }>();
  const listingOf = (subfolder: string) => {
    const listing = listings.get(subfolder) ?? { changes: 1, synced: 0 };
    listings.set(subfolder, listing);
    return listing;
  };
  const make = async (subfolder: string): Promise<void> => {
    await mkdir(subfolder, { recursive: true, mode: 0o700 });
    await syncFolder(folder);
  };
  return {
    ensure: (subfolder: string): Promise<void> => {
      const known = made.get(subfolder);
      if (known !== undefined) return known;
      const making = make(subfolder);
      made.set(subfolder, making);
      making.catch(() => made.delete(subfolder));
      return making;
    },
    markChanged: (subfolder: string): void => void (listingOf(subfolder).changes += 1),
    sync: async (subfolder: string): Promise<void> => {
      const listing = listingOf(subfolder);
      const { changes } = listing;
      if (listing.synced >= changes) return;
      await syncFolder(subfolder);
      listing.synced = Math.max(listing.synced, changes);
    },
  };
}

/** Every chunk in the folder with its size. A file removed during the walk is skipped. */
export async function scanFolder(folder: string): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const subfolder of await namesIn(folder)) {
    if (!/^[0-9a-f]{2}$/.test(subfolder)) continue;
    const names = (await namesIn(join(folder, subfolder))).filter((hex) =>
      /^[0-9a-f]{64}$/.test(hex),
    );
    for (let at = 0; at < names.length; at += statsAtOnce) {
      await Promise.all(
        names.slice(at, at + statsAtOnce).map(async (hex) => {
          const file = await stat(join(folder, subfolder, hex)).catch(unlessGone);
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

export const isNameOf = (name: Uint8Array, bytes: Uint8Array): boolean =>
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

/**
 * A rename is durable once the folder that lists the new name is synced (POSIX; Windows has no such call).
 */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
