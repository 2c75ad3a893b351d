/**
 * Goal: the light node survives everything browsers do to service workers, and changes nothing when its
 * address suddenly serves another network.
 */
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort, startNetwork, type TestNetwork } from './support/network.ts';
import {
  createSafeInPage,
  goTo,
  networkStatus,
  openProfile,
  password,
  waitForPublished,
  waitForStored,
  unlock,
  type Person,
} from './support/person.ts';
import { restartsFile, restartWorker } from './support/worker-restarts.ts';

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

/** Puts of chunks and pointer records that reached a node of the network at this address. */
async function putsCounted(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const counts = text.matchAll(
    /^safe_client_requests_total\{kind="put(?:Chunk|Pointer)"\} (\d+)/gm,
  );
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Another site whose page sends a form to this address on load. */
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
  const preference = async (): Promise<string> => (await networkStatus(page)).preference;
  expect(await preference()).toBe('automatic');
  const call = `${network.url}/safe/rpc/transport`;
  const fields = `<input name='{"preference":"websocket","x":"' value='"}'>`;
  // A frame inside another site does not get our worker (storage is partitioned by the page's site): there
  // the form reaches the server, which has no such address.
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

test('a dozen restarts of the worker in one tab lose neither WebRTC nor connections', async () => {
  await restartWorker(person.page, 12);
});

test('a page loaded by hard reload recovers', async () => {
  const { page } = person;
  const session = await page.context().newCDPSession(page);
  await session.send('Page.enable');
  await session.send('Page.reload', { ignoreCache: true });
  await unlock(page);
  await goTo(page, 'Files');
  await waitForStored(page, restartsFile.name);
});

test('the app opened against another network at the same address changes nothing', async () => {
  const { port } = network;
  await person.page.goto('about:blank');
  await network.stop();
  const other = await startNetwork({ port, origin: 'other' });
  await person.page.goto(network.url);
  await person.page.getByText('This is a different network').waitFor();
  expect(await putsCounted(other.url)).toBe(0);
  await person.page.goto('about:blank');
  await other.stop();
  await network.restart();
  await person.page.goto(network.url);
  await unlock(person.page, password);
  await goTo(person.page, 'Files');
  await waitForStored(person.page, restartsFile.name);

  // Its network is gone for good: the Safe is removed here, and the address is usable again.
  await person.page.goto('about:blank');
  await network.stop();
  await other.restart();
  await person.page.goto(network.url);
  await person.page.getByRole('button', { name: 'Forget this device' }).click();
  const dialog = person.page.getByRole('dialog');
  await dialog.getByText('only on this device').waitFor();
  await dialog.getByRole('button', { name: 'Forget this device' }).click();
  await createSafeInPage(person.page);
  await waitForPublished(person.page);
  // The same count does see the puts of a new Safe there.
  expect(await putsCounted(other.url)).toBeGreaterThan(0);
  await other.stop();
  other.remove();
});
