/** Goal: a network killed in the middle of storing comes back with every acknowledged chunk. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  createSafe,
  networkStatus,
  openProfile,
  published,
  type Person,
} from './support/person.ts';

let network: TestNetwork;
let person: Person;

beforeAll(async () => {
  network = await startNetwork();
  person = await openProfile(network.url);
  await createSafe(person.page);
  await published(person.page);
});

afterAll(async () => {
  await person?.close();
  await network?.stop();
  network?.remove();
});

/** Chunks of seeded bytes, so that only names need to be remembered across the crash. */
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
    const base64 = bytes.toString('base64');
    const ok = await page.evaluate(
      async ([hex, text]) => {
        const body = Uint8Array.from(atob(text ?? ''), (c) => c.charCodeAt(0));
        const answer = await fetch(`/safe/rpc/chunk/put?name=${hex}`, {
          method: 'POST',
          headers: { 'x-safe-call': '1' },
          body,
        });
        return answer.ok;
      },
      [name, base64] as const,
    );
    if (ok && !killed) acknowledged.push(name);
  };
  const putting = Array.from({ length: 4 }, async (_, lane) => {
    for (let n = lane; !killed && n < 400; n += 4) await put(n);
  });
  await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(20);
  const before = [...acknowledged];
  killed = true;
  await network.kill();
  await Promise.race([Promise.all(putting), new Promise((go) => setTimeout(go, 1_000))]);
  const startedMs = performance.now();
  await network.restart();
  expect(performance.now() - startedMs).toBeLessThan(30_000);
  await expect
    .poll(async () => (await networkStatus(page)).trust, { timeout: 30_000 })
    .toBe('verified');
  for (const name of before) {
    const sha256 = await page.evaluate(async (hex) => {
      const get = async (triesLeft: number): Promise<Response> => {
        const answer = await fetch(`/safe/rpc/chunk/get?name=${hex}`, {
          method: 'POST',
          headers: { 'x-safe-call': '1' },
        });
        if (answer.ok || triesLeft === 0) return answer;
        // As every caller does: what says when to come again is asked again then.
        const { afterMs } = (await answer.clone().json()) as { readonly afterMs?: number };
        if (afterMs === undefined) return answer;
        await new Promise((go) => setTimeout(go, afterMs));
        return get(triesLeft - 1);
      };
      const answer = await get(5);
      if (!answer.ok) return `${answer.status} ${await answer.text()}`;
      const hash = await crypto.subtle.digest('SHA-256', await answer.arrayBuffer());
      return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join(
        '',
      );
    }, name);
    expect(sha256).toBe(name);
  }
}, 240_000);
