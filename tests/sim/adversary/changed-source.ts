/**
 * The product with one line changed, for bugs that no injected rule can plant: copies `src` and the
 * simulator to a temporary folder and loads the copy in a separate process.
 */
import { fork } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { PlantedLie } from './planted.ts';

const root = resolve(import.meta.dirname, '../../..');

export interface FoundViolation {
  readonly seed: number;
  readonly violation: string;
}

export interface HuntOutcome {
  /** The first seed that showed the bug; null when none did. */
  readonly found: FoundViolation | null;
  /** Other violations found before it. */
  readonly others: readonly string[];
}

/** A copy of the product with these changes. The caller removes it. */
export function copyWith(changes: PlantedLie['changes']): string {
  const folder = mkdtempSync(join(tmpdir(), 'safe-planted-'));
  for (const each of ['src', 'tests/sim', 'tests/support', 'package.json']) {
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

/** Runs `lies` with the bug, seed after seed, until one shows it. */
export function huntInCopy(bug: Omit<PlantedLie, 'name'>): Promise<HuntOutcome> {
  const folder = copyWith(bug.changes);
  const { seeds, plan, found } = bug;
  const args = [JSON.stringify({ seeds, plan, found: found.source })];
  return new Promise<HuntOutcome>((done, fail) => {
    const child = fork(join(folder, 'tests/sim/adversary/hunt-child.ts'), args, {
      cwd: folder,
      env: {},
      execArgv: ['--max-semi-space-size=64', '--no-warnings'],
    });
    let outcome: HuntOutcome | undefined;
    child.on('message', (message) => (outcome = message as HuntOutcome));
    child.on('error', fail);
    child.on('exit', (code) => {
      if (outcome === undefined) fail(new Error(`the hunt ended with ${code}`));
      else done(outcome);
    });
  }).finally(() => {
    rmSync(folder, { recursive: true });
  });
}
