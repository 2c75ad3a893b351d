/**
 * Goal: each planted bug changes the product at the place it names, which is found out in a second and
 * not after minutes of simulation.
 * Method: its quote of the source occurs exactly once in the named file, and its replacement differs.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { planted, smallList } from './inject/planted.ts';
import { plantedLies } from './sim/adversary/planted.ts';

const root = resolve(import.meta.dirname, '..');

interface Quote {
  readonly bug: string;
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
}

const quotes: readonly Quote[] = [
  ...[smallList, ...planted.flatMap(({ mutants }) => mutants)].map((mutant) => ({
    bug: mutant.name,
    file: mutant.file,
    text: mutant.find,
    replacement: mutant.replace,
  })),
  ...plantedLies.flatMap(({ name, changes }) =>
    changes.map(({ file, line, instead }) => ({
      bug: name,
      file,
      text: line,
      replacement: instead,
    })),
  ),
];

test.each(quotes)('$bug: $file contains the quoted text once', ({ file, text, replacement }) => {
  const parts = readFileSync(join(root, file), 'utf8').split(text);
  expect(parts).toHaveLength(2);
  expect(replacement).not.toBe(text);
});
