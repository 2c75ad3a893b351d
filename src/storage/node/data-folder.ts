/**
 * The data folder of a node program: mode 0700, one process at a time, a format number, and a subfolder per
 * node. See docs/spec/wire.md "Disks".
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { folderProblem, kindOfError, Problem } from './problem.ts';

/** Raised with every change of wire or money formats until money is final: older folders are refused. */
export const dataFormat = 2;

/** The minimum to found a network: facts, logs and the first chunks need it. */
const leastFreeBytes = 32 * 1024 * 1024;

export interface DataFolder {
  readonly path: string;
  /** The folder of one node, created when missing: `nodes/<name>`. */
  readonly node: (name: string) => string;
  readonly readText: (name: string) => string | null;
  /** Replaces a file atomically: a crash leaves the old one or the new one. */
  readonly writeText: (name: string, text: string, mode?: number) => void;
  readonly close: () => void;
}

export interface OpenOptions {
  /** Renames an existing folder to `<path>.old-<n>` first. Nothing is ever deleted. */
  readonly fresh: boolean;
}

/** Opens or creates the folder. Errors: throws a {@link Problem} whose message is one line. */
export function openDataFolder(path: string, options: OpenOptions): DataFolder {
  if (existsSync(path)) {
    refuseForeignFolder(path);
    if (options.fresh) {
      lock(path)(); // Fails while another process uses it.
      attempt(path, () => renameSync(path, nextOldName(path)));
    }
  }
  attempt(path, () => mkdirSync(path, { recursive: true, mode: 0o700 }));
  attempt(path, () => chmodSync(path, 0o700));
  const unlock = lock(path);
  try {
    checkFormat(path);
    const { bavail, bsize } = statfsSync(path);
    if (bavail * bsize < leastFreeBytes) throw folderProblem('full', path);
    attempt(path, () => mkdirSync(join(path, 'nodes'), { recursive: true, mode: 0o700 }));
  } catch (error) {
    unlock();
    throw error;
  }
  return {
    path,
    node: (name) => {
      const folder = join(path, 'nodes', name);
      attempt(path, () => mkdirSync(folder, { recursive: true, mode: 0o700 }));
      return folder;
    },
    readText: (name) => readTextFile(join(path, name)),
    writeText: (name, text, mode = 0o600) =>
      attempt(path, () => replaceFile(join(path, name), text, mode)),
    close: unlock,
  };
}

/** @returns the text of a file, null when it does not exist. */
export function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  }
}

/** Writes a temporary file, syncs, renames, syncs the folder. */
export function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', mode);
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  if (process.platform === 'win32') return;
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** As {@link replaceFile} without blocking the program: for data that may be lost. */
export async function replaceFileLater(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/**
 * One process per folder. The lock is SQLite's own on the file `lock`: the operating system releases it
 * with the process, however that ends, so no stale lock remains.
 */
function lock(path: string): () => void {
  let held: DatabaseSync | null = null;
  try {
    held = new DatabaseSync(join(path, 'lock'));
    held.exec('PRAGMA busy_timeout=0; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
    const database = held;
    return () => {
      if (database.isOpen) database.close();
    };
  } catch (error) {
    if (held?.isOpen === true) held.close();
    throw folderProblem(kindOfError(error), path);
  }
}

/** Never locks, moves or writes to a folder that is not a data folder. */
function refuseForeignFolder(path: string): void {
  const names = attempt(path, () => readdirSync(path));
  const ours = ['format', 'network.json', 'nodes', 'lock'].some((name) => names.includes(name));
  if (ours || names.length === 0) return;
  throw new Problem(
    'broken',
    `The folder ${path} holds other files and is not a Safe data folder: choose another with --data DIR.`,
  );
}

function checkFormat(path: string): void {
  const text = attempt(path, () => readTextFile(join(path, 'format')));
  if (text === null) {
    if (existsSync(join(path, 'nodes')) || existsSync(join(path, 'network.json'))) {
      throw folderProblem('broken', path);
    }
    attempt(path, () => replaceFile(join(path, 'format'), `${dataFormat}\n`, 0o600));
    return;
  }
  const found = /^\d{1,6}\n?$/.test(text) ? Number(text) : null;
  if (found === null) throw folderProblem('broken', path);
  if (found < dataFormat) throw folderProblem('olderFormat', path);
  if (found > dataFormat) throw folderProblem('newerFormat', path);
}

function nextOldName(path: string): string {
  const prefix = `${basename(path)}.old-`;
  const taken = readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)) || 0);
  return join(dirname(path), `${prefix}${Math.max(0, ...taken) + 1}`);
}

function attempt<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof Problem ? error : folderProblem(kindOfError(error), path);
  }
}
