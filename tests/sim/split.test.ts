/**
 * Goal: two halves that are big enough become two sections and everybody finds its own,
 * whatever the network does and up to two elders do.
 * Method: whole nodes with toy algebra; the lies are drawn by seed (section-lies.ts).
 * A failing seed: SEED=7 npx vitest run tests/sim/split.test.ts
 */
import { expect, test } from 'vitest';
import { runSplit } from './scenarios/split.ts';

const seeds: readonly number[] =
  process.env['SEED'] === undefined
    ? Array.from({ length: 10 }, (_, i) => i + 1)
    : [Number(process.env['SEED'])];

test('split: ten seeds end well', () => {
  const failed = seeds.flatMap((seed) => {
    const { violations, undelivered, liars } = runSplit(seed);
    return violations.length + undelivered === 0 ? [] : [{ seed, violations, undelivered, liars }];
  });
  expect(failed).toEqual([]);
});

test('a seed is a run: the same trace again', () => {
  for (const seed of seeds.slice(0, 1)) {
    expect(JSON.stringify(runSplit(seed).trace)).toBe(JSON.stringify(runSplit(seed).trace));
  }
});

/** One of 1 000 seeds each, mended since. */
test.each([
  // An elder missed a dealing, and those who held it had forgotten it at the end.
  {
    seed: 193,
    name: 'who missed the end of a key generation finishes from what others hold (D11)',
  },
  // Four of seven heirs held the successor record before the sealed state, and never began.
  { seed: 802, name: 'an heir begins in whatever order record, state and share come (N27)' },
])('seed $seed: $name', ({ seed }) => {
  const { violations, undelivered } = runSplit(seed);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
});
