/**
 * Goal: what the toy algebra showed of a section holds with the curves of a real node.
 * Method: one seed of each scenario that takes too long for every day, as in
 * tests/sim/real-curves.test.ts; a minute and a half together, half of it for `section-life`.
 */
import { expect, test } from 'vitest';
import { createRealCurves } from '../sim/curves.ts';
import { runRelocation } from '../sim/scenarios/relocation.ts';
import { runLife } from '../sim/scenarios/section-life.ts';
import { runSplit } from '../sim/scenarios/split.ts';
import { lieNamed } from '../sim/section-lies.ts';

const scenarios = { split: runSplit, relocation: runRelocation };

test.each(['split', 'relocation'] as const)('%s: one seed with real keys', (name) => {
  const plan = { curves: createRealCurves(), lie: lieNamed('wrong churn share') };
  const { violations, undelivered, liars } = scenarios[name](1, plan);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(liars).toHaveLength(2);
});

test('section-life: one seed with real keys, everything at once', () => {
  const { violations, undelivered, told } = runLife(1, createRealCurves());
  expect({ violations, undelivered }, told).toEqual({ violations: [], undelivered: 0 });
});
