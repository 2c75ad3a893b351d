/**
 * Goal: the light node survives what browsers do to service workers, and touches nothing when the
 * address suddenly serves another network.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  addFile,
  createSafe,
  download,
  goTo,
  makeFile,
  networkStatus,
  openPeerConnections,
  openProfile,
  password,
  published,
  stopWorker,
  stored,
  unlock,
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

test('a hundred deaths of the worker in one tab lose neither WebRTC nor connections', async () => {
  const { page } = person;
  const deaths = 100;
  const seen = new Set<string>();
  for (let death = 0; death < deaths; death++) {
    // The shortest call that needs an elder, each time another one.
    const ok = await page.evaluate(async (elder) => {
      const body = JSON.stringify({ elder, after: 0 });
      return (
        await fetch('/safe/rpc/outputs', { method: 'POST', headers: { 'x-safe-call': '1' }, body })
      ).ok;
    }, death % 7);
    expect(ok).toBe(true);
    const status = await networkStatus(page);
    seen.add(status.instance);
    await stopWorker(page);
  }
  expect(seen.size).toBe(deaths);
  const file = makeFile(4 * 1024 * 1024, 'deaths');
  await goTo(page, 'Files');
  await addFile(page, file.path);
  await stored(page, file.name);
  expect(await download(page, file.name)).toBe(file.sha256);
  const status = await networkStatus(page);
  const roads = status.section?.elders.map(({ road }) => road) ?? [];
  expect(roads.some((road) => road === 'relayed' || road === 'direct')).toBe(true);
  expect(status.rtc.used).toBeLessThan(300);
  // The host closes a dead worker's connections: only the living one's are open.
  expect(status.rtc.open).toBeGreaterThan(0);
  expect(status.rtc.open).toBeLessThanOrEqual(7);
  expect(await openPeerConnections(page)).toBe(status.rtc.open);
}, 300_000);

test('a page loaded by hard reload recovers', async () => {
  const { page } = person;
  const session = await page.context().newCDPSession(page);
  await session.send('Page.enable');
  await session.send('Page.reload', { ignoreCache: true });
  await unlock(page);
  await goTo(page, 'Files');
  await stored(page, `picture-deaths-${4 * 1024 * 1024}.bin`, 30_000);
});

test('the app opened against another network at the same address touches nothing', async () => {
  const { port } = network;
  await person.page.goto('about:blank');
  await network.stop();
  const other = await startNetwork({ port, isOwn: true });
  await person.page.goto(network.url);
  await person.page.getByText('This is a different network').waitFor();
  const put = other.log().match(/putPointer|putChunk/g) ?? [];
  expect(put).toEqual([]);
  await person.page.goto('about:blank');
  await other.stop();
  other.remove();
  await network.restart();
  await person.page.goto(network.url);
  await unlock(person.page, password);
  await goTo(person.page, 'Files');
  await stored(person.page, `picture-deaths-${4 * 1024 * 1024}.bin`, 60_000);
});
