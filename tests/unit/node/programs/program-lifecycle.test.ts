/** Goal: a problem reaches the person as one whole sentence with a next step that the program offers. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { toProblem } from '#node/programs/program-lifecycle.ts';
import { FileProblem, folderProblem, Problem, startOver } from '#storage/node/problem.ts';

const data = '/data/of/ada';

test('a whole sentence is shown unchanged, also without the name of an option', () => {
  const sentence = 'The elders took too long: start again when the computer is less busy.';
  expect(toProblem(new Problem('broken', sentence), data)?.message).toBe(sentence);
});

test('a problem of one file becomes a sentence about the data folder, whatever its path contains', () => {
  const problem = new FileProblem('broken', '/data/of/ada/nodes/x--y/facts: malformed');
  expect(toProblem(problem, data)?.message).toBe(folderProblem('broken', data).message);
});

test('a full disk is a problem of the folder, and a bug is none', () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  expect(toProblem(full, data)?.kind).toBe('full');
  expect(toProblem(new Error('a bug'), data)).toBeUndefined();
});

test.each(['broken', 'olderFormat', 'newerFormat'] as const)(
  'the sentence of a folder that is %s ends with the program’s own way to start over',
  (kind) => {
    const problem = folderProblem(kind, data);
    for (const way of Object.values(startOver)) {
      expect(problem.sentence(way)).toMatch(new RegExp(`${way.replace(/[()]/g, '.')}\\.$`));
    }
    expect(problem.sentence(startOver.inOtherFolder)).not.toContain('--fresh');
  },
);

/** As of a disk or a library: without a line of our source. */
const foreignError = "Object.assign(new Error('no space'), { stack: 'Error: no space' })";
const program = (folder: string): string => `
  import { endOnMachineFailure } from '#node/machine-failure.ts';
  import { startProgram } from '#node/programs/program-lifecycle.ts';
  const { log } = startProgram(${JSON.stringify(folder)}, { fresh: false });
  setImmediate(() => {
    const cause = new Error('ours');
    cause.stack = 'Error: ours at ' + import.meta.resolve('#node/node.ts');
    throw Object.assign(${foreignError}, { cause });
  });
  setTimeout(() => {
    console.log('continues');
    endOnMachineFailure(log, 'node', ${foreignError});
  }, 200);
  setTimeout(() => process.exit(0), 5_000);
`;

test('a library’s uncaught error → the program continues; a machine’s failure → it ends with the cause', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lifecycle-'));
  try {
    const args = ['--input-type=module', '-e', program(join(folder, 'data'))];
    const ended: unknown = await promisify(execFile)(process.execPath, args).catch(
      (error: unknown) => error,
    );
    expect(ended).toMatchObject({ code: 1, stdout: 'continues\n' });
    expect(ended).toMatchObject({ stderr: expect.stringContaining('Caused by: Error: no space') });
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 30_000);
