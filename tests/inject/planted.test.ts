/**
 * Goal: the loop finds a bug planted in the product, so a run without findings is meaningful.
 * Method: each bug must cause its own violation; other findings do not count.
 */
import { expect, test } from 'vitest';
import { loadLoop } from './load.ts';
import { planted, smallList } from './planted.ts';

test('a full list, its size checked before each addition → nothing is lost', async () => {
  const { loop, close } = await loadLoop([smallList]);
  try {
    expect((await loop.recordSites('crowded')).violations).toEqual([]);
  } finally {
    await close();
  }
});

test.each(planted.map((each) => [each.mutants[0]?.name ?? '', each] as const))(
  'planted: %s → the loop finds it',
  async (_name, { story, where = /./, within, mutants, found, isUndisturbed = false }) => {
    const { loop, close } = await loadLoop(mutants);
    try {
      const { sites, violations } = await loop.recordSites(story);
      const begun = process.cpuUsage();
      let played = 0;
      const shows = (what: readonly string[]): boolean => what.some((each) => found.test(each));
      let isFound = shows(violations);
      // Violations without a fault must not be mistaken for the effect of one.
      if (!isFound && !isUndisturbed) expect(violations).toEqual([]);
      const others: string[] = [...violations];
      const cases = loop
        .shuffled(loop.casesOf(story, sites), 'planted')
        .filter((each) => where.test(loop.showCase(each)));
      for (const each of isUndisturbed ? [] : cases.slice(0, within)) {
        if (isFound) break;
        played += 1;
        const outcome = await loop.playCase(each);
        isFound = shows(outcome.violations);
        others.push(...outcome.violations);
      }
      const { user, system } = process.cpuUsage(begun);
      console.log(`${story}: found ${isFound} after ${played} cases, ${(user + system) / 1e6} s`);
      expect(isFound, others.join('\n')).toBe(true);
    } finally {
      await close();
    }
  },
);
