/** Types, lint and format: whatever has a configuration in the checkout. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureSynced } from './build.js';
import { root, say } from './root.js';
import { runTool, step } from './run.js';

const has = (path) => existsSync(join(root, path));

const checks = [
  {
    name: 'types',
    needs: 'tsconfig.json',
    tool: 'typescript/bin/tsc',
    args: ['--noEmit', '-p', 'tsconfig.json'],
  },
  {
    name: 'types of the service worker',
    needs: 'src/service-worker/tsconfig.json',
    tool: 'typescript/bin/tsc',
    args: ['--noEmit', '-p', 'src/service-worker/tsconfig.json'],
  },
  {
    name: 'types of the vault',
    needs: 'src/vault/tsconfig.json',
    tool: 'typescript/bin/tsc',
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
    name: 'format',
    needs: '.prettierrc',
    tool: 'prettier/bin/prettier.cjs',
    args: ['--check', '--log-level', 'warn', 'bin', 'src', 'tests', 'bench', '*.{js,ts,json}'],
  },
];

/** Runs every check, also after one failed; resolves with the names of those that failed. */
export async function check() {
  await ensureSynced();
  const failed = [];
  for (const { name, needs, tool, args } of checks) {
    if (!has(needs)) continue;
    if ((await step(`Checking ${name}`, () => runTool(tool, args))) !== 0) failed.push(name);
  }
  if (failed.length > 0) say(`Not passed: ${failed.join(', ')}.`);
  return failed;
}
