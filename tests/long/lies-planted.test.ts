/**
 * Goal and method: as tests/sim/adversary/lies-planted.test.ts, for the bugs that are not planted
 * every day.
 */
import { expect, test } from 'vitest';
import { huntInCopy } from '../sim/adversary/changed-source.ts';
import { plantedLies } from '../sim/adversary/planted.ts';
import { runLies } from '../sim/scenarios/lies.ts';

test.for(plantedLies.filter(({ isLong }) => isLong === true))('planted: $name', async (bug) => {
  const { found, others } = await huntInCopy(bug);
  expect(found, others.join('\n')).not.toBeNull();
  expect(runLies(found?.seed ?? 0, bug.plan).violations).toEqual([]);
});
