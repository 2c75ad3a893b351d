/**
 * The product with one line changed, for bugs that no injected rule can plant: a copy of `src` and of
 * the simulator in a folder of its own, whose files are loaded by a process of their own.
 */
import { fork } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { PlantedLie } from './planted.ts';

const root = resolve(import.meta.dirname, '../../..');

export interface Found {
  readonly seed: number;
  readonly violation: string;
}

export interface Outcome {
  /** The first seed that showed the bug; null when none did. */
  readonly found: Found | null;
  /** What else went wrong on the way. */
  readonly others: readonly string[];
}

/** A copy of the product with these changes. Whoever asks removes it. */
export function copyWith(changes: PlantedLie['changes']): string {
  const folder = mkdtempSync(join(tmpdir(), 'safe-planted-'));
  for (const each of ['src', 'tests/sim', 'package.json']) {
    cpSync(join(root, each), join(folder, each), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const { file, line, instead } of changes) {
    const path = join(folder, file);
    const before = readFileSync(path, 'utf8');
    const parts = before.split(line);
    if (parts.length !== 2) {
      rmSync(folder, { recursive: true });
      throw new Error(`${file} has ${parts.length - 1} times: ${line}`);
    }
    writeFileSync(path, parts.join(instead));
  }
  return folder;
}

/** Runs `lies` with the bug, seed after seed, until it shows. */
export function hunt(bug: Omit<PlantedLie, 'name'>): Promise<Outcome> {
  const folder = copyWith(bug.changes);
  const { seeds, plan, found } = bug;
  const args = [JSON.stringify({ seeds, plan, found: found.source })];
  return new Promise<Outcome>((done, fail) => {
    const child = fork(join(folder, 'tests/sim/adversary/hunter.ts'), args, {
      cwd: folder,
      env: {},
      execArgv: ['--max-semi-space-size=64', '--no-warnings'],
    });
    let outcome: Outcome | undefined;
    child.on('message', (message) => (outcome = message as Outcome));
    child.on('error', fail);
    child.on('exit', (code) => {
      if (outcome === undefined) fail(new Error(`the hunt ended with ${code}`));
      else done(outcome);
    });
  }).finally(() => {
    rmSync(folder, { recursive: true });
  });
}
