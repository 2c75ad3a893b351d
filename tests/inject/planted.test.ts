/** Goal: the loop finds a mistake that is planted in the product, so that its silence says something. */
import { expect, test } from 'vitest';
import { loadLoop } from './load.ts';
import { planted, smallList } from './planted.ts';

test('a list that is full loses nothing as long as somebody asks whether it is', async () => {
  const { loop, close } = await loadLoop([smallList]);
  try {
    expect((await loop.record('crowded')).violations).toEqual([]);
  } finally {
    await close();
  }
});

test.each(planted.map((each) => [each.mutants[0]?.name ?? '', each] as const))(
  'the loop finds it when %s',
  async (_name, { story, where = /./, within, mutants }) => {
    const { loop, close } = await loadLoop(mutants);
    try {
      const { sites, violations } = await loop.record(story);
      const begun = process.cpuUsage();
      let played = 0;
      let found = violations.length > 0;
      const cases = loop
        .shuffled(loop.casesOf(story, sites), 'planted')
        .filter((each) => where.test(loop.showCase(each)));
      for (const each of cases.slice(0, within)) {
        if (found) break;
        played += 1;
        found = (await loop.play(each)).violations.length > 0;
      }
      const { user, system } = process.cpuUsage(begun);
      console.log(`${story}: found ${found} after ${played} cases, ${(user + system) / 1e6} s`);
      expect(found).toBe(true);
    } finally {
      await close();
    }
  },
);
