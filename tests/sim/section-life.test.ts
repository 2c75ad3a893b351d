/**
 * Goal: a whole section lives: it grows, loses nodes, splits, moves nodes on and hands its keys over
 * while people pay and chunks lie on its disks; no coin is spent twice, nothing final and no chunk
 * is lost, every honest payment ends, and everybody is up to date in the end.
 * Method: scenarios/section-life.ts, whole nodes with real money and repair under rough faults.
 */
import { expect, test, vi } from 'vitest';
import { runLife } from './scenarios/section-life.ts';

const seeds = Number(process.env['SEEDS'] ?? 3);
vi.setConfig({ testTimeout: 240_000 });

test.for(Array.from({ length: seeds }, (_, i) => i + 1))('seed %i', (seed) => {
  const { violations, told } = runLife(seed);
  expect(violations).toEqual([]);
  // Else moving would be no part of the story.
  expect(told).toMatch(/[1-9]\d* moved/);
});
