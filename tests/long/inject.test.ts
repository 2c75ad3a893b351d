/**
 * Goal: as tests/inject, for all call sites of all stories, for up to an hour. What was played and
 * what was found is written to docs/measurements/inject-long.json.
 */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadLoop } from '../inject/load.ts';
import { sample } from '../inject/sample.ts';

const minutes = 55;
const result = new URL('../../docs/measurements/inject-long.json', import.meta.url);

test('nothing is lost at any call site of any story', async () => {
  const { loop, close } = await loadLoop();
  const share = (minutes * 60_000) / loop.names.length;
  const stories: Record<string, unknown> = {};
  const found: string[] = [];
  try {
    for (const name of loop.names) {
      const end = performance.now() + share;
      const sampled = await sample(loop, name, Infinity, {
        isOver: () => performance.now() > end,
      });
      found.push(...sampled.found);
      stories[name] = sampled;
    }
  } finally {
    await close();
  }
  writeFileSync(result, `${JSON.stringify(stories, null, 2)}\n`);
  expect(found).toEqual([]);
});
