/** Goal and method: as tests/sim/lies-planted.test.ts, for the bugs that are not planted every day. */
import { expect, test } from 'vitest';
import { hunt } from '../sim/adversary/changed-source.ts';
import { plantedLies } from '../sim/adversary/planted.ts';
import { runLies } from '../sim/scenarios/lies.ts';

test.for(plantedLies.filter(({ isLong }) => isLong === true))('planted: $name', async (bug) => {
  const { found, others } = await hunt(bug);
  expect(found, others.join('\n')).not.toBeNull();
  expect(runLies(found?.seed ?? 0, bug.plan).violations).toEqual([]);
});
