/**
 * Goal: failure, lock, close, crash or repetition at any call of the vault and the service worker
 * loses nothing that was shown, sends no payment before it is stored, uses no wiped key, keeps the
 * money consistent, and lets the story finish.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { faults, type Fault } from './faults.ts';
import { loadLoop, type Loaded } from './load.ts';
import { sample, seedOfRun } from './sample.ts';

console.log(`seed: ${seedOfRun}`);

let loaded: Loaded;
beforeAll(async () => {
  loaded = await loadLoop();
}, 180_000);
afterAll(async () => loaded.close());
const kinds = new Set<Fault>();

test.each([
  ['files', 5],
  ['unpublished', 5],
  ['pays', 4],
  ['receives', 4],
  ['redeems', 4],
  ['tabs', 4],
  ['later tab', 4],
  ['relay', 5],
  ['devices', 3],
  ['guest', 3],
  ['opens', 5],
] as const)('%s: any fault at any call → nothing is lost', async (name, count) => {
  const { sites, found, ...counts } = await sample(loaded.loop, name, count, { kinds });
  console.log(`${name}: ${counts.played} of ${counts.cases} cases, ${counts.cpuSeconds} s of CPU`);
  expect(found).toEqual([]);
  expect(sites).toBeGreaterThan(25);
});

test('each kind of fault was played', () => {
  const ofNodes = ['node restarts before', 'node restarts after'];
  expect([...kinds].sort()).toEqual(faults.filter((kind) => !ofNodes.includes(kind)).sort());
});
