/**
 * Goal: a network grows on its own: one section of sixteen becomes eight, all by automatic splits,
 * while nodes fail and relocate; every relocated node arrives, and no node is behind at the end.
 * Method: scenarios/network.ts, the small plan; the big one is `node tests/sim/run.ts network 1 1`.
 */
import { expect, test, vi } from 'vitest';
import { runNetwork, smallPlan } from '../scenarios/network.ts';

vi.setConfig({ testTimeout: 240_000 });

test('every split is automatic, and nodes arrive after relocating between sections unknown to each other', () => {
  const { violations, undelivered, summary } = runNetwork(1, smallPlan);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(summary.sections).toBeGreaterThanOrEqual(4);
  expect(summary.moved).toBeGreaterThan(0);
});
