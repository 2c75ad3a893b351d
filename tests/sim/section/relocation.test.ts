/**
 * Goal: every relocating node arrives once, at the right age, and no node is admitted against the
 * rules, under any network faults and any behaviour of up to two elders.
 * Method: full nodes with toy algebra; the lies are drawn by seed (section-adversaries.ts).
 * A failing seed: SEED=7 npx vitest run tests/sim/section/relocation.test.ts
 */
import { expect, test } from 'vitest';
import { runRelocation } from '../scenarios/relocation.ts';

const seeds: readonly number[] =
  process.env['SEED'] === undefined
    ? Array.from({ length: 5 }, (_, i) => i + 1)
    : [Number(process.env['SEED'])];

test('relocation: five seeds → each completes without violations', () => {
  const failed = seeds.flatMap((seed) => {
    const { violations, undelivered, liars } = runRelocation(seed);
    return violations.length + undelivered === 0 ? [] : [{ seed, violations, undelivered, liars }];
  });
  expect(failed).toEqual([]);
});

test('the same seed twice → the same trace', () => {
  for (const seed of seeds.slice(0, 1)) {
    expect(JSON.stringify(runRelocation(seed).trace)).toBe(
      JSON.stringify(runRelocation(seed).trace),
    );
  }
});
