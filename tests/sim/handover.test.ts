/**
 * Goal: dead elders are replaced under a new key, nothing forks and nobody honest is blamed,
 * whatever the network does and up to two elders do.
 * Method: whole nodes with toy algebra; the lies are drawn by seed (section-lies.ts).
 * A failing seed: SEED=7 npx vitest run tests/sim/handover.test.ts
 */
import { expect, test } from 'vitest';
import { runHandover } from './scenarios/handover.ts';
import { lieNamed } from './section-lies.ts';
import { living, rough } from './section-world.ts';

const seeds: readonly number[] =
  process.env['SEED'] === undefined
    ? Array.from({ length: 40 }, (_, i) => i + 1)
    : [Number(process.env['SEED'])];

test('handover: forty seeds end well', () => {
  const failed = seeds.flatMap((seed) => {
    const { violations, undelivered, liars } = runHandover(seed);
    return violations.length + undelivered === 0 ? [] : [{ seed, violations, undelivered, liars }];
  });
  expect(failed).toEqual([]);
}, 300_000);

test('a seed is a run: the same trace again', () => {
  for (const seed of seeds.slice(0, 2)) {
    expect(JSON.stringify(runHandover(seed).trace)).toBe(JSON.stringify(runHandover(seed).trace));
  }
});

test('an elder that lost its memory is silent under its key and comes back with the next', () => {
  let back = 0;
  for (const seed of [6, 7, 11, 15, 25, 26, 28]) {
    const { violations, nodes } = runHandover(seed, {
      faults: {
        ...rough,
        crashProbability: 0.004,
        lostTail: { probability: 1, facts: [1, 6], maxNodes: 1 },
      },
    });
    // Every word of it was read along: speaking under the lost key is a violation.
    expect(violations).toEqual([]);
    back += nodes.filter(({ rolledBack, state }) => rolledBack && state.desk !== null).length;
  }
  expect(back).toBeGreaterThan(0);
});

test('with something to decide at every moment the section still goes over to its new key', () => {
  for (const seed of [1, 2]) {
    const { violations, undelivered } = runHandover(seed, { restless: true });
    expect({ seed, violations, undelivered }).toEqual({ seed, violations: [], undelivered: 0 });
  }
});

/** Three of ten thousand seeds: what was ready was forgotten with the next generation, for ever (1721);
 * a round that most did not answer accused somebody who had been silent before (3087, 8708). */
test.each([1721, 3087, 8708])('seed %i, which once went wrong, ends well', (seed) => {
  const { violations, undelivered } = runHandover(seed);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
});

/** In these a share, or the whole new key, is missing when nobody finishes the decided list. */
test.each([15, 20, 28])(
  'seed %i: every elder of a key holds its share, although two were never shown what it is made of',
  (seed) => {
    const lie = lieNamed('dkg: a second list');
    const { violations, undelivered, nodes, liars } = runHandover(seed, { lie });
    expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
    expect(liars).toEqual([lie.name]);
    const elders = living({ nodes }).filter(({ state }) => state.desk !== null);
    expect(elders.length).toBeGreaterThan(4);
  },
);

test('both silent: five go on', () => {
  for (const seed of [3, 4, 6, 9]) {
    const { violations } = runHandover(seed, { lie: lieNamed('silence') });
    expect(violations).toEqual([]);
  }
});
