/**
 * Goal: every check that 0.1 lacked is missed by the well-formed lies of `lies` as soon as it is gone.
 * Method: the whole list of tests/sim/adversary/planted.ts, each bug in a copy of the source.
 */
import { expect, test, vi } from 'vitest';
import { hunt } from '../sim/adversary/changed-source.ts';
import { plantedLies } from '../sim/adversary/planted.ts';

vi.setConfig({ testTimeout: 900_000 });

test.for(plantedLies)('planted: $name', async ({ ...bug }) => {
  const { found, others } = await hunt(bug);
  expect(found, others.join('\n')).not.toBeNull();
});
