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
          include: ['tests/**/*.test.ts'],
          exclude: [
            'tests/adversary/**',
            'tests/e2e/**',
            'tests/inject/**',
            'tests/sim/**',
            'tests/long/**',
            'tests/network/**',
          ],
          // Real curves on a crowded machine: patience, not a measurement.
          testTimeout: 60_000,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'sim',
          environment: 'node',
          include: ['tests/sim/**/*.test.ts'],
          testTimeout: 120_000,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'inject',
          environment: 'node',
          include: ['tests/inject/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        extends: true as const,
        test: {
          name: 'long',
          environment: 'node',
          include: ['tests/long/**/*.test.ts'],
          testTimeout: 3_600_000,
          hookTimeout: 180_000,
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
          name: 'e2e',
          environment: 'node',
          include: ['tests/e2e/**/*.test.ts', 'tests/adversary/**/*.test.ts'],
          globalSetup: ['tests/e2e/support/nursery.ts'],
          // Real browsers and real processes on two cores: one at a time, with patience.
          testTimeout: 300_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          maxConcurrency: 1,
          retry: 0,
        },
      },
    ],
  },
}));
