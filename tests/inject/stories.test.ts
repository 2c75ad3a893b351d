/**
 * Goal: whatever fails, locks, closes, dies or happens twice at any call of the vault and the service
 * worker, nothing that was shown is lost, no payment is sent that was not stored first, no wiped key
 * is used, the money adds up, and the story can be finished.
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
] as const)('%s: nothing is lost whatever goes wrong at any call', async (name, count) => {
  const { sites, found, ...told } = await sample(loaded.loop, name, count, { kinds });
  console.log(`${name}: ${told.played} of ${told.cases} cases, ${told.cpuSeconds} s of CPU`);
  expect(sites).toBeGreaterThan(25);
  expect(found).toEqual([]);
});

test('each kind of fault was among them', () => {
  const ofNodes = ['node restarts before', 'node restarts after'];
  expect([...kinds].sort()).toEqual(faults.filter((kind) => !ofNodes.includes(kind)).sort());
});
