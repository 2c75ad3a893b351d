/** Goal: a tab survives a hundred workers: the browser's limit of peer connections is not used up. */
import { afterAll, beforeAll, test } from 'vitest';
import { startNetwork, type TestNetwork } from '../e2e/support/network.ts';
import {
  createSafeInPage,
  openProfile,
  waitForPublished,
  type Person,
} from '../e2e/support/person.ts';
import { restartWorker } from '../e2e/support/worker-restarts.ts';

let network: TestNetwork;
let person: Person;

beforeAll(async () => {
  network = await startNetwork();
  person = await openProfile(network.url);
  await createSafeInPage(person.page);
  await waitForPublished(person.page);
});

afterAll(async () => {
  await person?.close();
  await network?.stop();
  network?.remove();
});

test('a hundred restarts of the worker in one tab lose neither WebRTC nor connections', async () => {
  await restartWorker(person.page, 100);
});
