/**
 * Goal: an elder that fails or restarts at any call votes once and answers on; a storing node loses
 * nothing that it has acknowledged, whatever its disk refuses and whenever the power fails.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadLoop, type Loaded } from './load.ts';
import { sample } from './sample.ts';

let loaded: Loaded;
beforeAll(async () => {
  loaded = await loadLoop();
}, 60_000);
afterAll(async () => loaded.close());

test.each([
  ['elders', 40],
  ['disk', 30],
] as const)(
  '%s: what was acknowledged holds whatever goes wrong at any call',
  async (name, count) => {
    const { sites, found } = await sample(loaded.loop, name, count);
    expect(sites).toBeGreaterThan(50);
    expect(found).toEqual([]);
  },
);
