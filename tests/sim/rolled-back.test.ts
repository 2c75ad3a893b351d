/**
 * Goal: an elder whose disk is older than its words finds out by itself and contradicts nothing that
 * three others have heard; one whose disk is whole is silenced by nobody (N10, decision 17).
 * Method: one elder crashes when its vote, report or strong vote has been heard, loses exactly that
 * fact, and starts again while there is still something to say; then handover under faults, where
 * chance says what is lost. No configuration tells an elder anything. Planted bugs go through the same
 * stories.
 */
import { describe, expect, test, vi } from 'vitest';
import { believesAWord, forgetfulMutants, tellCrash, watching, type Crash } from './rolled-back.ts';
import { runHandover } from './scenarios/handover.ts';
import type { SectionMachine } from './section-check.ts';
import { rough } from './section-world.ts';

const phases = ['vote', 'report', 'strong'] as const;
const seeds = [1, 2, 3, 4, 5, 6];
const handoverSeeds = Array.from({ length: 15 }, (_, at) => at + 1);

vi.setConfig({ testTimeout: 120_000 });

function tally(crash: Crash, machine?: SectionMachine) {
  const ends = seeds.map((seed) => tellCrash(seed, crash, machine));
  const count = (of: (end: (typeof ends)[number]) => boolean): number => ends.filter(of).length;
  return {
    crashed: count(({ crashed }) => crashed),
    noticed: count(({ noticed }) => noticed),
    contradicted: count(({ contradicted }) => contradicted),
    othersGoOn: count(({ othersGoOn }) => othersGoOn),
    violations: [...new Set(ends.flatMap(({ violations }) => violations))],
  };
}

describe('an elder whose disk lost what it said', () => {
  test.each(phases)(
    'N10: finds out after a %s that was heard, and contradicts nothing',
    (after) => {
      expect(tally({ after, disk: 'rolled back' })).toEqual({
        crashed: seeds.length,
        noticed: seeds.length,
        contradicted: 0,
        othersGoOn: seeds.length,
        violations: [],
      });
    },
  );

  test.each(Object.entries(forgetfulMutants))('planted bug, %s', (_name, machine) => {
    for (const after of ['vote', 'report'] as const) {
      const { contradicted, violations } = tally({ after, disk: 'rolled back' }, machine);
      expect(contradicted).toBeGreaterThan(0);
      // Others hold two signed statements of one place: the elder is convicted as a liar.
      expect(violations).toEqual(['honest node blamed: agreement equivocation']);
    }
  });

  test('N10: under faults it finds out and contradicts nothing that was heard', () => {
    let [noticed, contradicted, rolledBack] = [0, 0, 0];
    for (const seed of handoverSeeds) {
      const seen = watching();
      const { nodes, liars } = runHandover(seed, {
        faults: {
          ...rough,
          crashProbability: 0.004,
          lostTail: { probability: 1, facts: [1, 4], maxNodes: 1 },
        },
        restless: true,
        machine: seen.machine,
      });
      if (liars.length > 0) continue;
      for (const { id } of nodes.filter((node) => node.rolledBack)) {
        rolledBack += 1;
        if (seen.noticed.has(id)) noticed += 1;
        if (seen.contradicted.has(id)) contradicted += 1;
      }
    }
    expect(rolledBack).toBeGreaterThan(0);
    expect(noticed).toBeGreaterThan(0);
    expect(contradicted).toBe(0);
  });
});

describe('an elder whose disk is whole', () => {
  const crash = { after: 'vote', disk: 'whole', liars: 1 } as const;

  test('N10: is not silenced by words that it never said', () => {
    const { crashed, noticed, contradicted, violations } = tally(crash);
    expect({ crashed, noticed, contradicted, violations }).toEqual({
      crashed: seeds.length,
      noticed: 0,
      contradicted: 0,
      violations: [],
    });
  });

  test('planted bug, N10: believes a word without its signature', () => {
    expect(tally(crash, believesAWord).noticed).toBeGreaterThan(0);
  });
});
