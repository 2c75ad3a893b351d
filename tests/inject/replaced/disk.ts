/**
 * The file system and the database of a storing node, with call sites and power cuts: a power cut
 * loses unsynced bytes, and names in unsynced folders.
 */
import { existsSync, rmSync, truncateSync } from 'node:fs';
import * as real from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync as RealDatabase, type StatementSync } from 'node:sqlite';
import { working } from '../clock.ts';
import { currentProcess, site } from '../process.ts';

export interface Disk {
  /** Files with unsynced bytes. */
  readonly unsynced: Set<string>;
  /** By folder: names not yet synced to it. */
  readonly unlisted: Map<string, Set<string>>;
  readonly databases: Set<RealDatabase>;
  readonly handles: Set<real.FileHandle>;
}

export const emptyDisk = (): Disk => ({
  unsynced: new Set(),
  unlisted: new Map(),
  databases: new Set(),
  handles: new Set(),
});

/** Loses everything that was not synced. */
export function cutPower(disk: Disk): void {
  for (const names of disk.unlisted.values()) {
    for (const name of names) rmSync(name, { recursive: true, force: true });
  }
  for (const path of disk.unsynced) if (existsSync(path)) truncateSync(path, 0);
  disk.unsynced.clear();
  disk.unlisted.clear();
}

/** Closes the handles that ended processes left open. */
export function closeAll(disk: Disk): void {
  for (const handle of disk.handles) void handle.close().catch(() => undefined);
  disk.handles.clear();
  for (const database of disk.databases) database.close();
  disk.databases.clear();
}

const diskNow = (): Disk | undefined => (currentProcess()?.device as { disk?: Disk } | null)?.disk;

const list = (path: string): void => {
  const disk = diskNow();
  const folder = dirname(path);
  disk?.unlisted.set(folder, (disk.unlisted.get(folder) ?? new Set()).add(path));
};

export const mkdir = (async (...given: Parameters<typeof real.mkdir>) =>
  site('disk.mkdir', async () => {
    const made = await real.mkdir(...given);
    if (made !== undefined) list(String(given[0]));
    return made;
  })) as typeof real.mkdir;
export const readdir = (async (path: string) =>
  site('disk.readdir', () => real.readdir(path))) as unknown as typeof real.readdir;
export const readFile = (async (path: string) =>
  site('disk.readFile', () => real.readFile(path))) as unknown as typeof real.readFile;
export const stat = (async (path: string) =>
  site('disk.stat', () => real.stat(path))) as unknown as typeof real.stat;
/** A disk with free space, whatever the real machine has. */
export const statfs = async (_path: string): Promise<{ bavail: number; bsize: number }> =>
  site('disk.statfs', async () => ({ bavail: 2 ** 20, bsize: 4096 }));
export const unlink = async (path: string): Promise<void> =>
  site('disk.unlink', () => real.unlink(path));
export const rename = async (from: string, to: string): Promise<void> =>
  site('disk.rename', async () => {
    const wasThere = existsSync(to);
    await real.rename(from, to);
    const disk = diskNow();
    if (disk?.unsynced.delete(from) === true) disk.unsynced.add(to);
    // A rename over an existing file leaves its name there before and after, with old or new bytes.
    if (!wasThere) list(to);
  });

export async function open(path: string, flags: string, mode?: number) {
  const disk = diskNow();
  const file = await site('disk.open', async () => {
    const opened = await real.open(path, flags, mode);
    disk?.handles.add(opened);
    return opened;
  });
  return {
    writeFile: (bytes: Uint8Array) =>
      site('disk.writeFile', async () => {
        disk?.unsynced.add(path);
        await file.writeFile(bytes);
      }),
    sync: () =>
      site('disk.sync', async () => {
        // The power is cut in memory here: thousands of real syncs would only measure the machine's disk.
        disk?.unsynced.delete(path);
        disk?.unlisted.delete(path);
      }),
    // Closing is no call site: callers ignore its result.
    close: () => {
      disk?.handles.delete(file);
      return working(() => file.close());
    },
  };
}

/** SQLite itself survives power cuts; its calls may fail or be the last of their process. */
export class DatabaseSync extends RealDatabase {
  constructor(path: string) {
    super(path);
    super.exec('PRAGMA synchronous=OFF');
    diskNow()?.databases.add(this);
  }

  override exec(sql: string): void {
    const [word = ''] = sql.split(' ');
    const ours = sql.replace('synchronous=FULL', 'synchronous=OFF');
    // No call site: SQLite rolls an unfinished transaction back when the file is next opened.
    if (word === 'ROLLBACK') super.exec(sql);
    else siteNow(`sql.${word}`, () => super.exec(ours));
  }

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    const [word = ''] = sql.trim().split(' ');
    const { run } = statement;
    statement.run = ((...given: Parameters<typeof run>) =>
      siteNow(`sql.${word}`, () => run.apply(statement, given))) as typeof run;
    return statement;
  }
}

/** A synchronous call: it may throw, or be the last act of its process. */
function siteNow<T>(label: string, work: () => T): T {
  const process = currentProcess();
  if (process === undefined) return work();
  if (process.isDead) throw new Error('the process has ended');
  const { instead, before, after } = process.watcher.reached(process, label, []);
  void before?.();
  if (process.isDead) throw new Error('the process has ended');
  const result = instead === undefined ? work() : (instead() as T);
  void after?.();
  if (process.isDead) throw new Error('the process has ended');
  return result;
}
