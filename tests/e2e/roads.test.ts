/**
 * Goal: a file goes up and comes back the same by every road, and with an adult that is off or
 * lies. Method: 8 MB each; the road that carried it is read from the light node's own report.
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
  noSdpMangling,
  openProfile,
  published,
  setRoad,
  stored,
  type Person,
} from './support/person.ts';

const size = 8 * 1024 * 1024;

let network: TestNetwork;

beforeAll(async () => {
  network = await startNetwork();
});

afterAll(async () => {
  await network?.stop();
  network?.remove();
});

async function upAndDown(person: Person, seed: string): Promise<void> {
  const file = makeFile(size, seed);
  await goTo(person.page, 'Files');
  await addFile(person.page, file.path);
  await stored(person.page, file.name);
  expect(await download(person.page, file.name)).toBe(file.sha256);
}

const roadsUsed = async (person: Person): Promise<ReadonlySet<string | null>> => {
  const elders = (await networkStatus(person.page)).section?.elders ?? [];
  return new Set(elders.filter(({ state }) => state === 'connected').map(({ road }) => road));
};

async function newPerson(flags: readonly string[] = []): Promise<Person> {
  const person = await openProfile(network.url, { flags });
  await createSafe(person.page);
  await published(person.page);
  return person;
}

test('WebSocket alone carries a file both ways', async () => {
  const person = await newPerson();
  await setRoad(person.page, 'websocket');
  await upAndDown(person, 'websocket');
  expect(await roadsUsed(person)).toEqual(new Set(['websocket']));
  await person.close();
});

test('the relayed road alone carries a file where the browser refuses WebRTC-Direct', async () => {
  const person = await newPerson([noSdpMangling]);
  await setRoad(person.page, 'direct');
  await expect
    .poll(async () => [...(await roadsUsed(person))].filter((road) => road !== 'direct'), {
      timeout: 20_000,
    })
    .toEqual([]);
  expect([...(await roadsUsed(person))]).not.toContain('direct');
  await setRoad(person.page, 'relayed');
  await upAndDown(person, 'relayed');
  expect(await roadsUsed(person)).toEqual(new Set(['relayed']));
  await person.close();
});

test('WebRTC-Direct carries a file both ways where the browser allows it', async () => {
  const person = await newPerson();
  await setRoad(person.page, 'direct');
  await upAndDown(person, 'direct');
  expect(await roadsUsed(person)).toEqual(new Set(['direct']));
  await person.close();
});

test('with one adult off nothing is lost', async () => {
  const person = await newPerson();
  await network.adult(0, 'off');
  await upAndDown(person, 'off');
  await network.adult(0, 'ok');
  await person.close();
});

test('an adult that goes off, or lies, after storing cannot spoil a download', async () => {
  const person = await newPerson();
  const file = makeFile(size, 'lie');
  await goTo(person.page, 'Files');
  await addFile(person.page, file.path);
  await stored(person.page, file.name);
  await network.adult(1, 'lie');
  expect(await download(person.page, file.name)).toBe(file.sha256);
  await network.adult(1, 'off');
  expect(await download(person.page, file.name)).toBe(file.sha256);
  await network.adult(1, 'ok');
  await person.close();
});
