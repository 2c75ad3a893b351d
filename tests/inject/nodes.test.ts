/**
 * Goal: an elder that fails or restarts at any call votes once and still answers; a storing node
 * loses no acknowledged data, whichever disk call fails and whenever the power is cut.
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
] as const)('%s: any fault at any call → acknowledged data is kept', async (name, count) => {
  const { sites, found, ...counts } = await sample(loaded.loop, name, count);
  console.log(`${name}: ${counts.played} of ${counts.cases} cases, ${counts.cpuSeconds} s of CPU`);
  expect(found).toEqual([]);
  expect(sites).toBeGreaterThan(50);
});
