/**
 * Goal: failed elders are replaced under a new key, no key forks and no honest node is blamed,
 * under any network faults and any behaviour of up to two elders.
 * Method: full nodes with toy algebra; the lies are drawn by seed (section-adversaries.ts).
 * A failing seed: SEED=7 npx vitest run tests/sim/section/handover.test.ts
 */
import { expect, test } from 'vitest';
import { runHandover } from '../scenarios/handover.ts';
import { sectionLieNamed } from './section-adversaries.ts';
import { livingNodes, faultyNetwork } from './section-world.ts';

const seeds: readonly number[] =
  process.env['SEED'] === undefined
    ? Array.from({ length: 15 }, (_, i) => i + 1)
    : [Number(process.env['SEED'])];

test('handover: fifteen seeds → each completes without violations', () => {
  const failed = seeds.flatMap((seed) => {
    const { violations, undelivered, liars } = runHandover(seed);
    return violations.length + undelivered === 0 ? [] : [{ seed, violations, undelivered, liars }];
  });
  expect(failed).toEqual([]);
}, 300_000);

test('the same seed twice → the same trace', () => {
  for (const seed of seeds.slice(0, 2)) {
    expect(JSON.stringify(runHandover(seed).trace)).toBe(JSON.stringify(runHandover(seed).trace));
  }
});

test('an elder that lost state → abstains under its key, and is an elder again under the next', () => {
  let back = 0;
  for (const seed of [6, 7, 11, 15, 25, 26, 28]) {
    const { violations, nodes } = runHandover(seed, {
      faults: {
        ...faultyNetwork,
        crashProbability: 0.004,
        lostTail: { probability: 1, facts: [1, 6], maxNodes: 1 },
      },
    });
    // All its messages are checked: signing under the lost key is a violation.
    expect(violations).toEqual([]);
    back += nodes.filter(
      ({ rolledBack, state }) => rolledBack && state.pendingGeneration !== null,
    ).length;
  }
  expect(back).toBeGreaterThan(0);
});

test('a decision pending at every moment → the section still hands over to its new key', () => {
  for (const seed of [1, 2]) {
    const { violations, undelivered } = runHandover(seed, { restless: true });
    expect({ seed, violations, undelivered }).toEqual({ seed, violations: [], undelivered: 0 });
  }
});

/**
 * Three of ten thousand seeds that failed: readiness was discarded with the next generation,
 * permanently (1721); a round that most did not answer accused a node that had been unresponsive
 * before (3087, 8708).
 */
test.each([1721, 3087, 8708])('seed %i, which once failed → completes', (seed) => {
  const { violations, undelivered } = runHandover(seed);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
});

/**
 * In these seeds a share, or the whole new key, is missing if no node completes the decided list.
 */
test.each([15, 20, 28])(
  'seed %i: two elders never receive the dealings of the chosen list → every elder of the key holds its share',
  (seed) => {
    const lie = sectionLieNamed('dkg: a second list');
    const { violations, undelivered, nodes, liars } = runHandover(seed, { lie });
    expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
    expect(liars).toEqual([lie.name]);
    const elders = livingNodes({ nodes }).filter(({ state }) => state.pendingGeneration !== null);
    expect(elders.length).toBeGreaterThan(4);
  },
);

test('both liars unresponsive → the other five continue', () => {
  for (const seed of [3, 4, 6, 9]) {
    const { violations } = runHandover(seed, { lie: sectionLieNamed('silence') });
    expect(violations).toEqual([]);
  }
});
