/**
 * Goal: a complete section grows, loses nodes, splits, relocates nodes and hands its keys over
 * while clients pay and chunks are on its disks; no coin is spent twice, no final payment and no
 * chunk is lost, every honest payment ends, and every node is up to date at the end.
 * Method: scenarios/section-life.ts, full nodes with real money and repair under heavy faults.
 */
import { expect, test, vi } from 'vitest';
import { runLife } from '../scenarios/section-life.ts';

const seeds = Number(process.env['SEEDS'] ?? 3);
vi.setConfig({ testTimeout: 240_000 });

test.for(Array.from({ length: seeds }, (_, i) => i + 1))('seed %i', (seed) => {
  const { violations, summary } = runLife(seed);
  expect(violations).toEqual([]);
  // Otherwise the run would not test relocation.
  expect(summary).toMatch(/[1-9]\d* moved/);
});
