/**
 * Goal: an elder whose disk is older than its sent statements detects this and contradicts nothing
 * that three others have received; an elder with an intact disk is never made to abstain (N10,
 * decision 17).
 * Method: one elder crashes after its prevote, round change or precommit has been received, loses
 * exactly that fact, and restarts while the generation is still open; then handover under faults,
 * with random losses. No configuration informs an elder. Planted bugs run through the same stories.
 */
import { describe, expect, test, vi } from 'vitest';
import {
  acceptsOneStatement,
  lostStateMutants,
  runCrash,
  observeStatements,
  type CrashPlan,
} from './rolled-back.ts';
import { runHandover } from '../scenarios/handover.ts';
import type { SectionMachine } from './section-check.ts';
import { faultyNetwork } from './section-world.ts';

const phases = ['prevote', 'roundChange', 'precommit'] as const;
const seeds = [1, 2, 3, 4, 5, 6];
/** Of the first fifteen, those without liars in which a disk is rolled back. */
const handoverSeeds = [6, 11, 15];

vi.setConfig({ testTimeout: 120_000 });

function tally(crash: CrashPlan, machine?: SectionMachine) {
  const ends = seeds.map((seed) => runCrash(seed, crash, machine));
  const count = (of: (end: (typeof ends)[number]) => boolean): number => ends.filter(of).length;
  return {
    crashed: count(({ crashed }) => crashed),
    noticed: count(({ noticed }) => noticed),
    contradicted: count(({ contradicted }) => contradicted),
    othersGoOn: count(({ othersGoOn }) => othersGoOn),
    violations: [...new Set(ends.flatMap(({ violations }) => violations))],
  };
}

describe('an elder whose disk lost its sent statements', () => {
  test.each(phases)(
    'N10: disk lost a received %s → the elder detects it and contradicts nothing',
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

  test.each(Object.entries(lostStateMutants))('planted bug, %s', (_name, machine) => {
    for (const after of ['prevote', 'roundChange'] as const) {
      const { contradicted, violations } = tally({ after, disk: 'rolled back' }, machine);
      expect(contradicted).toBeGreaterThan(0);
      // Others hold two signed statements for the same round and phase: equivocation is blamed.
      expect(violations).toEqual(['honest node blamed: agreement equivocation']);
    }
  });

  test('N10: under faults → it detects the loss and contradicts no received statement', () => {
    let [noticed, contradicted, rolledBack] = [0, 0, 0];
    for (const seed of handoverSeeds) {
      const seen = observeStatements();
      const { nodes, liars } = runHandover(seed, {
        faults: {
          ...faultyNetwork,
          crashProbability: 0.004,
          lostTail: { probability: 1, facts: [1, 4], maxNodes: 1 },
        },
        restless: true,
        machine: seen.machine,
        detectsLoss: true,
      });
      expect(liars).toEqual([]);
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

describe('an elder whose disk is intact', () => {
  const crash = { after: 'prevote', disk: 'whole', liars: 1 } as const;

  test('N10: receives statements it never made → does not abstain', () => {
    const { crashed, noticed, contradicted, violations } = tally(crash);
    expect({ crashed, noticed, contradicted, violations }).toEqual({
      crashed: seeds.length,
      noticed: 0,
      contradicted: 0,
      violations: [],
    });
  });

  test('planted bug, N10: accepts a statement without its signature', () => {
    expect(tally(crash, acceptsOneStatement).noticed).toBeGreaterThan(0);
  });
});
