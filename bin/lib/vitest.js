/** Runs Vitest projects and counts their results. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { root } from './root.js';
import { runTool, step } from './run.js';

/** Tests start hundreds of programs from the same sources: each is compiled once. */
const compileCache = join(root, 'node_modules/.cache/safe-compiled');

/**
 * Runs projects in one pool of workers; resolves with their numbers and the names of what failed. A
 * run that reports nothing counts as a failure. options: `args` for Vitest; `label`, `env` and `isBackground` as in run.js.
 */
export async function runProjects(projects, { args = [], env = {}, label, isBackground } = {}) {
  const title = projects.join(', ');
  const folder = join(root, 'test-results');
  const report = join(folder, `${projects.join('-')}.json`);
  mkdirSync(folder, { recursive: true });
  rmSync(report, { force: true });
  const code = await step(`Testing: ${title}`, () =>
    runTool(
      'vitest/vitest.mjs',
      [
        'run',
        // `unit` is two projects (vite.config.ts).
        ...projects.flatMap((project) => ['--project', `${project}*`]),
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        // By default Vitest leaves one core idle; projects with their own network run one file at a time.
        `--maxWorkers=${availableParallelism()}`,
        ...args,
      ],
      {
        env: {
          NODE_COMPILE_CACHE: compileCache,
          SAFE_SHARE_MODULES: '1',
          ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}),
          ...env,
        },
        stdout: 'inherit',
        label,
        isBackground,
      },
    ),
  );
  return { ...countsIn(report, code), code };
}

const isFailed = ({ status }) => status === 'failed';

function countsIn(report, code) {
  let json;
  try {
    json = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0, failures: ['the run itself: it left no report'] };
  }
  const failures = json.testResults.filter(isFailed).flatMap(failuresOf);
  // An error outside any test (an unhandled rejection) fails the run as well.
  if (failures.length === 0 && code !== 0) failures.push('an error outside the tests');
  return {
    passed: json.numPassedTests,
    failed: failures.length,
    skipped: json.numPendingTests + json.numTodoTests,
    failures,
  };
}

/** A line per failed test, or one for a file that could not be run. */
function failuresOf({ name, message, assertionResults }) {
  const file = relative(root, name);
  const failed = assertionResults.filter(isFailed);
  if (failed.length === 0) return [`${file}: ${firstLine(message)}`];
  return failed.map(
    ({ fullName, failureMessages }) => `${file}: ${fullName}: ${firstLine(failureMessages[0])}`,
  );
}

const firstLine = (message = '') => message.split('\n', 1)[0];
