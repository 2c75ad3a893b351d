import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sveltekit } from '@sveltejs/kit/vite';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/**
 * `vite build --mode fake` puts an app without a network behind the screens, for screenshots and
 * accessibility tests. Only this mode knows that app, so no other build can contain it.
 */
const fakeApp = (mode: string): Plugin[] =>
  mode === 'fake'
    ? [
        {
          name: 'safe-fake-app',
          enforce: 'pre',
          resolveId: (source) =>
            source === '#page/app.ts'
              ? fileURLToPath(new URL('./tests/e2e/fake-app/app.ts', import.meta.url))
              : null,
        },
      ]
    : [];

/** They need a browser and no network: they compute, and may run beside others. */
const screens = ['tests/e2e/ui/**/*.test.ts', 'tests/e2e/browser-stores.test.ts'];
/**
 * Loading the modules anew for every file takes more than half of the time of the unit tests. Where
 * this is set (`npm test`), files share them, except those that replace modules or globals.
 */
const isShared = process.env['SAFE_SHARE_MODULES'] === '1';
const unit = ['tests/*.test.ts', 'tests/contract/**/*.test.ts', 'tests/unit/**/*.test.ts'];
const replacing =
  /\bvi\.(mock|doMock|stubGlobal|useFakeTimers)\(|wiringCheck\(|globalThis\.\w+ =|process\.env\[\S+ =/;
const replacers = isShared
  ? globSync(unit).filter((file) => replacing.test(readFileSync(file, 'utf8')))
  : [];
/** Real curves on a crowded machine: patience, not a measurement. */
const unitTimeout = 60_000;

/** Most objects of a step are garbage after the next one: a larger young generation saves time. */
const manySteps = ['--max-semi-space-size=64'];

export default defineConfig(({ mode }) => ({
  // Tests compile `.svelte.ts` modules; Kit's own plugin is for the app.
  plugins: process.env['VITEST']
    ? [svelte({ configFile: false })]
    : [...fakeApp(mode), sveltekit()],
  build: { target: 'es2022', chunkSizeWarningLimit: 1500 },
  worker: { format: 'es' as const },
  test: {
    // A second, as is usual, passes on a crowded machine before anything is wrong.
    expect: { poll: { timeout: 20_000 } },
    projects: [
      {
        extends: true as const,
        test: {
          name: 'unit',
          environment: 'node',
          include: unit,
          exclude: replacers,
          isolate: !isShared,
          testTimeout: unitTimeout,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'unit-replacing',
          environment: 'node',
          include: replacers,
          testTimeout: unitTimeout,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'sim',
          environment: 'node',
          // Every name that a module imports is a getter otherwise: a third of a run.
          experimental: { viteModuleRunner: false },
          execArgv: manySteps,
          include: ['tests/sim/**/*.test.ts'],
          testTimeout: 120_000,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'inject',
          environment: 'node',
          execArgv: manySteps,
          include: ['tests/inject/**/*.test.ts'],
          // More than the longest case of a sample may take, so that the sample names it.
          testTimeout: 900_000,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'long',
          environment: 'node',
          include: ['tests/long/**/*.test.ts'],
          testTimeout: 3_600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'network',
          environment: 'node',
          include: ['tests/network/**/*.test.ts'],
          // Fourteen processes on two cores: one network at a time, with patience.
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          maxConcurrency: 1,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'screens',
          environment: 'node',
          include: screens,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'e2e',
          environment: 'node',
          include: ['tests/e2e/**/*.test.ts', 'tests/adversary/**/*.test.ts'],
          exclude: screens,
          globalSetup: ['tests/e2e/support/shared-network.ts'],
          // Real browsers and real processes on two cores: one at a time, with patience.
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          maxConcurrency: 1,
          retry: 0,
        },
      },
    ],
  },
}));
