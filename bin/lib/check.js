/** Types, lint, format, and the tests that read the tree: every tool that has a configuration in the checkout. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureSynced } from './build.js';
import { root, showProgress } from './root.js';
import { runTool, step } from './run.js';

const has = (path) => existsSync(join(root, path));

const checks = [
  {
    name: 'types',
    needs: 'tsconfig.json',
    tool: 'typescript-native/bin/tsc',
    args: ['--noEmit', '-p', 'tsconfig.json'],
  },
  {
    name: 'types of the service worker',
    needs: 'src/service-worker/tsconfig.json',
    tool: 'typescript-native/bin/tsc',
    args: ['--noEmit', '-p', 'src/service-worker/tsconfig.json'],
  },
  {
    name: 'types of the vault',
    needs: 'src/vault/tsconfig.json',
    tool: 'typescript-native/bin/tsc',
    args: ['--noEmit', '-p', 'src/vault/tsconfig.json'],
  },
  {
    name: 'types of the components',
    needs: 'src/routes',
    tool: 'svelte-check/bin/svelte-check',
    args: [
      '--tsconfig',
      './tsconfig.json',
      '--output',
      'human',
      '--threshold',
      'warning',
      '--fail-on-warnings',
    ],
  },
  {
    name: 'lint',
    needs: 'eslint.config.js',
    tool: 'eslint/bin/eslint.js',
    args: ['.', '--max-warnings', '0'],
  },
  {
    name: 'architecture, documents and words',
    isTest: true,
    needs: 'tests/architecture.test.ts',
    tool: 'vitest/vitest.mjs',
    args: [
      'run',
      '--project',
      'unit',
      ...['architecture', 'docs', 'exports', 'vocabulary'].map((name) => `tests/${name}.test.ts`),
    ],
  },
  {
    name: 'format',
    needs: '.prettierrc',
    tool: 'prettier/bin/prettier.cjs',
    args: [
      '--check',
      '--cache',
      '--log-level',
      'warn',
      'bin',
      'src',
      'tests',
      'bench',
      '*.{js,ts,json}',
    ],
  },
];

/** Each uses one core. */
const atATime = 2;

/**
 * Runs every check, also after a failure; resolves with the names of those that failed.
 * `isBesideTests` leaves out those that the unit tests contain, and lets other programs run first.
 */
export async function check({ isBesideTests = false } = {}) {
  await ensureSynced();
  const failed = [];
  const left = checks.filter(({ needs, isTest }) => has(needs) && !(isBesideTests && isTest));
  const runNext = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { name, tool, args } = next;
      const code = await step(`Checking ${name}`, () =>
        runTool(tool, args, { quiet: true, isBackground: isBesideTests }),
      );
      if (code !== 0) failed.push(name);
    }
  };
  await Promise.all(Array.from({ length: atATime }, runNext));
  if (failed.length > 0) showProgress(`Not passed: ${failed.join(', ')}.`);
  return failed;
}
