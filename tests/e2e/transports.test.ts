/**
 * Goal: a file is uploaded and downloaded unchanged over every transport, also with an adult that is off or
 * dishonest. Method: 4 MB each; the light node's own report names the transport.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  addFile,
  createSafeInPage,
  download,
  goTo,
  makeFile,
  networkStatus,
  noSdpMangling,
  openProfile,
  waitForPublished,
  setTransport,
  waitForStored,
  type Person,
} from './support/person.ts';
import { patienceMs } from './support/until.ts';

const size = 4 * 1024 * 1024;

let network: TestNetwork;
let person: Person;

beforeAll(async () => {
  network = await startNetwork();
  person = await newPerson();
});

afterAll(async () => {
  await person?.close();
  await network?.stop();
  network?.remove();
});

async function upAndDown(person: Person, seed: string): Promise<void> {
  const file = makeFile(size, seed);
  await goTo(person.page, 'Files');
  await addFile(person.page, file.path);
  await waitForStored(person.page, file.name);
  expect(await download(person.page, file.name)).toBe(file.sha256);
}

const transportsUsed = async (person: Person): Promise<ReadonlySet<string | null>> => {
  const elders = (await networkStatus(person.page)).section?.elders ?? [];
  return new Set(
    elders.filter(({ state }) => state === 'connected').map(({ transport }) => transport),
  );
};

async function newPerson(flags: readonly string[] = []): Promise<Person> {
  const person = await openProfile(network.url, { flags });
  await createSafeInPage(person.page);
  await waitForPublished(person.page);
  return person;
}

test('WebSocket alone carries a file both ways', async () => {
  await setTransport(person.page, 'websocket');
  await upAndDown(person, 'websocket');
  expect(await transportsUsed(person)).toEqual(new Set(['websocket']));
});

test('WebRTC-Direct carries a file both ways where the browser allows it', async () => {
  await setTransport(person.page, 'direct');
  await upAndDown(person, 'direct');
  expect(await transportsUsed(person)).toEqual(new Set(['direct']));
  await setTransport(person.page, 'automatic');
});

test('one adult off → nothing is lost', async () => {
  await network.adult(0, 'off');
  await upAndDown(person, 'off');
  await network.adult(0, 'ok');
});

test('an adult that stops, or lies, after storing cannot spoil a download', async () => {
  const file = makeFile(size, 'lie');
  await goTo(person.page, 'Files');
  await addFile(person.page, file.path);
  await waitForStored(person.page, file.name);
  await network.adult(1, 'lie');
  expect(await download(person.page, file.name)).toBe(file.sha256);
  await network.adult(1, 'off');
  expect(await download(person.page, file.name)).toBe(file.sha256);
  await network.adult(1, 'ok');
});

test('the relayed transport alone carries a file where the browser refuses WebRTC-Direct', async () => {
  await person.close();
  person = await newPerson([noSdpMangling]);
  await setTransport(person.page, 'direct');
  await expect
    .poll(
      async () => [...(await transportsUsed(person))].filter((transport) => transport !== 'direct'),
      {
        timeout: patienceMs,
      },
    )
    .toEqual([]);
  expect([...(await transportsUsed(person))]).not.toContain('direct');
  await setTransport(person.page, 'relayed');
  await upAndDown(person, 'relayed');
  expect(await transportsUsed(person)).toEqual(new Set(['relayed']));
});
