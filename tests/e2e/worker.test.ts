/**
 * Goal: the light node survives what browsers do to service workers, and touches nothing when the
 * address suddenly serves another network.
 */
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort, startNetwork, type TestNetwork } from './support/network.ts';
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

/** Another site, whose page sends a form to this address as soon as it is open. */
async function openForm(to: string, target: string, fields: string) {
  const page = `<!doctype html><iframe name="frame"></iframe>
    <form id="f" method="post" enctype="text/plain" target="${target}" action="${to}">${fields}</form>
    <script>setTimeout(() => document.getElementById('f').submit(), 100)</script>`;
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(page);
  });
  const port = await freePort();
  await new Promise<void>((go) => server.listen(port, '127.0.0.1', go));
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('a form of another site reaches no call of the worker and changes nothing', async () => {
  const page = await person.context.newPage();
  await page.goto(network.url);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  const preference = async (): Promise<unknown> =>
    ((await networkStatus(page)) as unknown as { preference: unknown }).preference;
  expect(await preference()).toBe('automatic');
  const call = `${network.url}/safe/rpc/road`;
  // As text/plain this body is the JSON that the call takes.
  const fields = `<input name='{"preference":"websocket","x":"' value='"}'>`;
  // A frame inside another site is given no worker of ours (storage is partitioned by the page's
  // site): there the form reaches the server, which knows no such address.
  const refusals = {
    _self: { byWorker: true, status: 403 },
    frame: { byWorker: false, status: 404 },
  };
  for (const [target, { byWorker, status }] of Object.entries(refusals)) {
    const site = await openForm(call, target, fields);
    const answered = page.waitForResponse(call);
    await page.goto(site.url);
    const answer = await answered;
    expect({ byWorker: answer.fromServiceWorker(), status: answer.status() }).toEqual({
      byWorker,
      status,
    });
    if (target === '_self') await page.waitForURL(call);
    site.close();
    await page.goto(network.url);
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    expect(await preference()).toBe('automatic');
  }
  await page.close();
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
  await network.restart();
  await person.page.goto(network.url);
  await unlock(person.page, password);
  await goTo(person.page, 'Files');
  await stored(person.page, `picture-deaths-${4 * 1024 * 1024}.bin`, 60_000);

  // Its network gone for good: the Safe is forgotten here, and the address is of use again.
  await person.page.goto('about:blank');
  await network.stop();
  await other.restart();
  await person.page.goto(network.url);
  await person.page.getByRole('button', { name: 'Forget this device' }).click();
  const dialog = person.page.getByRole('dialog');
  await dialog.getByText('only on this device').waitFor();
  await dialog.getByRole('button', { name: 'Forget this device' }).click();
  await createSafe(person.page);
  await published(person.page);
  await other.stop();
  other.remove();
});
