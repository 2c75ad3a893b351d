/** Runs Vitest projects and counts what they say. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root } from './root.js';
import { runTool, step } from './run.js';

/** Runs one project; resolves with its numbers. A run that reports nothing counts as a failure. */
export async function runProject(project, { args = [], env = {} } = {}) {
  const folder = join(root, 'test-results');
  const report = join(folder, `${project}.json`);
  mkdirSync(folder, { recursive: true });
  rmSync(report, { force: true });
  const code = await step(`Testing: ${project}`, () =>
    runTool(
      'vitest/vitest.mjs',
      [
        'run',
        '--project',
        project,
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        // Left to itself it keeps one core free; projects with a network of their own run one file at a time.
        `--maxWorkers=${availableParallelism()}`,
        ...args,
      ],
      { env, stdout: 'inherit' },
    ),
  );
  return { ...countsIn(report, code), code };
}

function countsIn(report, code) {
  try {
    const json = JSON.parse(readFileSync(report, 'utf8'));
    const failedFiles = json.testResults.filter(
      (file) =>
        file.status === 'failed' && !file.assertionResults.some((each) => each.status === 'failed'),
    ).length;
    const failed = json.numFailedTests + failedFiles;
    return {
      passed: json.numPassedTests,
      // An error outside any test (an unhandled rejection) fails the run as well.
      failed: failed === 0 && code !== 0 ? 1 : failed,
      skipped: json.numPendingTests + json.numTodoTests,
    };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}
