/** Goal: a network killed while storing restarts with every acknowledged chunk. */
import { createHash } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  callWorker,
  createSafeInPage,
  networkStatus,
  openProfile,
  waitForPublished,
  type Person,
} from './support/person.ts';
import { patienceMs } from './support/until.ts';

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

/** Chunks of seeded bytes, so that only names must be stored across the crash. */
const chunk = (n: number): Buffer => {
  const bytes = Buffer.alloc(256 * 1024);
  for (let at = 0; at < bytes.length; at += 64) {
    createHash('sha512').update(`chunk ${n} ${at}`).digest().copy(bytes, at);
  }
  return bytes;
};

test('kill -9 while storing: every acknowledged chunk is there afterwards', async () => {
  const { page } = person;
  const acknowledged: string[] = [];
  let killed = false;
  const put = async (n: number): Promise<void> => {
    const bytes = chunk(n);
    const name = createHash('sha256').update(bytes).digest('hex');
    const ok = await callWorker(page, 'chunk/put', bytes).then(
      () => true,
      () => false,
    );
    if (ok && !killed) acknowledged.push(name);
  };
  const putting = Array.from({ length: 4 }, async (_, lane) => {
    for (let n = lane; !killed && n < 400; n += 4) await put(n);
  });
  await expect.poll(() => acknowledged.length, { timeout: patienceMs }).toBeGreaterThan(20);
  const before = [...acknowledged];
  killed = true;
  await network.kill();
  await Promise.race([Promise.all(putting), new Promise((go) => setTimeout(go, 1_000))]);
  await network.restart();
  await expect
    .poll(async () => (await networkStatus(page)).trust, { timeout: patienceMs })
    .toBe('verified');
  for (const name of before) {
    const bytes = await getPatiently(page, Buffer.from(name, 'hex'));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(sha256).toBe(name);
  }
}, 300_000);

/** Like every caller: an error with a retry time is retried. */
async function getPatiently(page: Page, name: Uint8Array, triesLeft = 5): Promise<Uint8Array> {
  try {
    return await callWorker(page, 'chunk/get', { name });
  } catch (error) {
    const text = error instanceof Error ? error.message : '';
    const afterMs = /"afterMs":(\d+)/.exec(text)?.[1];
    if (afterMs === undefined || triesLeft === 0) throw error;
    await new Promise((go) => setTimeout(go, Number(afterMs)));
    return getPatiently(page, name, triesLeft - 1);
  }
}
