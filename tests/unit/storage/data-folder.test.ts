/** Goal: an unusable data folder is refused with one line that names the next step. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dataFormat, openDataFolder } from '#storage/node/data-folder.ts';
import { openFacts } from '#storage/node/facts.ts';
import { kindOfError, Problem } from '#storage/node/problem.ts';

let parent: string;
let path: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'safe-folder-'));
  path = join(parent, 'data');
});
afterEach(() => rmSync(parent, { recursive: true }));

function problemOf(act: () => unknown): Problem {
  try {
    act();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

test('a new folder is private to its owner and stores texts', () => {
  const folder = openDataFolder(path, { fresh: false });
  folder.writeText('ports.json', '{}');
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(statSync(join(path, 'ports.json')).mode & 0o777).toBe(0o600);
  folder.close();
  const again = openDataFolder(path, { fresh: false });
  expect(again.readText('ports.json')).toBe('{}');
  expect(again.readText('other')).toBeNull();
  again.close();
});

test('a second opening is refused while the first holds the folder', () => {
  const folder = openDataFolder(path, { fresh: false });
  const problem = problemOf(() => openDataFolder(path, { fresh: true }));
  expect(problem.kind).toBe('locked');
  expect(problem.message).toContain('--data DIR');
  folder.close();
  openDataFolder(path, { fresh: false }).close();
});

test('a process killed with kill -9 leaves no lock', async () => {
  const script = `
    const { openDataFolder } = await import('#storage/node/data-folder.ts');
    // Kept reachable: a collected handle releases its lock.
    globalThis.folder = openDataFolder(${JSON.stringify(path)}, { fresh: false });
    console.log('held');
    setInterval(() => undefined, 1000);`;
  const child = spawn('node', ['--input-type=module', '-e', script], { cwd: process.cwd() });
  await once(child.stdout, 'data');
  expect(problemOf(() => openDataFolder(path, { fresh: false })).kind).toBe('locked');
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
  openDataFolder(path, { fresh: false }).close();
});

test('older and newer formats are refused, and --fresh keeps the old folder', () => {
  openDataFolder(path, { fresh: false }).close();
  writeFileSync(join(path, 'format'), `${dataFormat - 1}\n`);
  const older = problemOf(() => openDataFolder(path, { fresh: false }));
  expect(older.kind).toBe('olderFormat');
  expect(older.message).toContain('--fresh');
  expect(older.message).not.toContain('\n');
  writeFileSync(join(path, 'format'), `${dataFormat + 1}\n`);
  expect(problemOf(() => openDataFolder(path, { fresh: false })).kind).toBe('newerFormat');
  openDataFolder(path, { fresh: true }).close();
  openDataFolder(path, { fresh: true }).close();
  expect(readdirSync(parent).sort()).toEqual(['data', 'data.old-1', 'data.old-2']);
  expect(readFileSync(join(parent, 'data.old-1', 'format'), 'utf8')).toBe(`${dataFormat + 1}\n`);
});

test('a damaged format file and a damaged fact store are reported as damaged', () => {
  openDataFolder(path, { fresh: false }).close();
  writeFileSync(join(path, 'format'), 'nonsense');
  expect(problemOf(() => openDataFolder(path, { fresh: false })).kind).toBe('broken');
  writeFileSync(join(path, 'facts'), 'this is not a database, and long enough to be read as one');
  expect(problemOf(() => openFacts(join(path, 'facts'))).kind).toBe('broken');
});

test('a folder that is not a data folder is neither locked nor moved', () => {
  openDataFolder(path, { fresh: false }).close();
  rmSync(path, { recursive: true });
  writeFileSync(join(parent, 'thesis.txt'), 'mine');
  const problem = problemOf(() => openDataFolder(parent, { fresh: true }));
  expect(problem.message).toContain('not a Safe data folder');
  expect(existsSync(join(parent, 'lock'))).toBe(false);
});

test('system errors are distinguished by code', () => {
  expect(kindOfError({ code: 'ENOSPC' })).toBe('full');
  expect(kindOfError({ code: 'EDQUOT' })).toBe('full');
  expect(kindOfError({ code: 'ERR_SQLITE_ERROR', errcode: 13 })).toBe('full');
  expect(kindOfError({ code: 'EACCES' })).toBe('notPermitted');
  expect(kindOfError({ code: 'ERR_SQLITE_ERROR', errcode: 5 })).toBe('locked');
  expect(kindOfError(new Error('anything'))).toBe('broken');
});
