/**
 * Goal: a network makes itself: from one section of sixteen, eight sections, each split by itself,
 * while nodes die and move; whoever moved has arrived, and nobody is behind in the end.
 * Method: scenarios/network.ts, the small plan; the big one is `node tests/sim/run.ts network 1 1`.
 */
import { expect, test, vi } from 'vitest';
import { runNetwork, smallPlan } from './scenarios/network.ts';

vi.setConfig({ testTimeout: 240_000 });

test('every split happens by itself, and movers arrive where sections know nothing of each other', () => {
  const { violations, undelivered, told } = runNetwork(1, smallPlan);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(told.sections).toBeGreaterThanOrEqual(4);
  expect(told.moved).toBeGreaterThan(0);
});
