/**
 * Goal: an elder that fails or restarts at any call votes once and answers on; a storing node loses
 * nothing that it has acknowledged, whatever its disk refuses and whenever the power fails.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadLoop, type Loaded } from './load.ts';
import { sample, seedOfRun } from './sample.ts';

console.log(`seed: ${seedOfRun}`);

let loaded: Loaded;
beforeAll(async () => {
  loaded = await loadLoop();
}, 180_000);
afterAll(async () => loaded.close());

test.each([
  ['elders', 40],
  ['disk', 30],
  ['holders', 25],
] as const)(
  '%s: what was acknowledged holds whatever goes wrong at any call',
  async (name, count) => {
    const { sites, found, ...told } = await sample(loaded.loop, name, count);
    console.log(`${name}: ${told.played} of ${told.cases} cases, ${told.cpuSeconds} s of CPU`);
    expect(sites).toBeGreaterThan(50);
    expect(found).toEqual([]);
  },
);
