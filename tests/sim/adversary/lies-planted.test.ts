/**
 * Goal: the well-formed lies of `lies` find the checks missing in 0.1: with such a check removed
 * from the source, some seed shows a violation.
 * Method: adversary/changed-source.ts, for each bug of adversary/planted.ts; with the check
 * restored, the same seed has no violation. Half of the bugs: the others are in tests/long.
 */
import { expect, test, vi } from 'vitest';
import { huntInCopy } from './changed-source.ts';
import { plantedLies } from './planted.ts';
import { runLies } from '../scenarios/lies.ts';

vi.setConfig({ testTimeout: 240_000 });

test.for(plantedLies.filter(({ isLong }) => isLong !== true))(
  'planted: $name',
  async ({ ...bug }) => {
    const { found, others } = await huntInCopy(bug);
    expect(found, others.join('\n')).not.toBeNull();
    expect(runLies(found?.seed ?? 0, bug.plan).violations).toEqual([]);
  },
);
