/**
 * Goal: the loop finds a mistake that is planted in the product, so that its silence says something.
 * Method: for each mistake the violation that it must cause; any other finding counts for nothing.
 */
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
  async (_name, { story, where = /./, within, mutants, found, isUndisturbed = false }) => {
    const { loop, close } = await loadLoop(mutants);
    try {
      const { sites, violations } = await loop.record(story);
      const begun = process.cpuUsage();
      let played = 0;
      const shows = (what: readonly string[]): boolean => what.some((each) => found.test(each));
      let isFound = shows(violations);
      // What goes wrong anyway must not be taken for what a fault has brought out.
      if (!isFound && !isUndisturbed) expect(violations).toEqual([]);
      const others: string[] = [...violations];
      const cases = loop
        .shuffled(loop.casesOf(story, sites), 'planted')
        .filter((each) => where.test(loop.showCase(each)));
      for (const each of isUndisturbed ? [] : cases.slice(0, within)) {
        if (isFound) break;
        played += 1;
        const outcome = await loop.play(each);
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
