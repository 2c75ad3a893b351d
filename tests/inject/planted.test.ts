/** Goal: the loop finds a mistake that is planted in the product, so that its silence says something. */
import { expect, test } from 'vitest';
import { loadLoop } from './load.ts';
import { planted } from './planted.ts';

test.each(planted.map((each) => [each.mutants[0]?.name ?? '', each] as const))(
  'the loop finds it when %s',
  async (_name, { story, where = /./, within, mutants }) => {
    const { loop, close } = await loadLoop(mutants);
    try {
      const { sites, violations } = await loop.record(story);
      let found = violations.length > 0;
      const cases = loop
        .shuffled(loop.casesOf(story, sites), 'planted')
        .filter((each) => where.test(loop.showCase(each)));
      for (const each of cases.slice(0, within)) {
        if (found) break;
        found = (await loop.play(each)).violations.length > 0;
      }
      expect(found).toBe(true);
    } finally {
      await close();
    }
  },
);
