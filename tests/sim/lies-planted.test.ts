/**
 * Goal: the well-formed lies of `lies` find what 0.1 did not check: with that check taken out of the
 * source, some seed shows it. Method: adversary/changed-source.ts, for each bug of adversary/planted.ts;
 * with the check in its place the same seed is quiet. Half of them: the others are in tests/long.
 */
import { expect, test, vi } from 'vitest';
import { hunt } from './adversary/changed-source.ts';
import { plantedLies } from './adversary/planted.ts';
import { runLies } from './scenarios/lies.ts';

vi.setConfig({ testTimeout: 240_000 });

test.for(plantedLies.filter(({ isLong }) => isLong !== true))(
  'planted: $name',
  async ({ ...bug }) => {
    const { found, others } = await hunt(bug);
    expect(found, others.join('\n')).not.toBeNull();
    expect(runLies(found?.seed ?? 0, bug.plan).violations).toEqual([]);
  },
);
