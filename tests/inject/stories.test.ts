/**
 * Goal: whatever fails, locks, closes, dies or happens twice at any call of the vault and the service
 * worker, nothing that was shown is lost, no payment is sent that was not stored first, no wiped key
 * is used, the money adds up, and the story can be finished.
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
  ['files', 14],
  ['unpublished', 14],
  ['pays', 10],
  ['receives', 12],
  ['redeems', 12],
  ['tabs', 8],
  ['later tab', 12],
  ['devices', 6],
  ['guest', 6],
] as const)('%s: nothing is lost whatever goes wrong at any call', async (name, count) => {
  const { sites, found } = await sample(loaded.loop, name, count);
  expect(sites).toBeGreaterThan(25);
  expect(found).toEqual([]);
});
