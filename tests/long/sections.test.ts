/**
 * Goal: two of seven elders die for good, the section hands over to a new key, and people notice no
 * more than a line on the Network page: files and payments go on, also for somebody whose device was
 * away meanwhile and comes back with an old map. Method: fourteen processes, real browsers.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startProcesses, type ProcessNetwork } from '../network/support/processes.ts';
import {
  addressOf,
  askFaucet,
  balanceIs,
  beginPayment,
  pay,
  sentPayment,
} from '../e2e/support/money.ts';
import {
  addFile,
  createSafe,
  download,
  goTo,
  makeFile,
  networkStatus,
  openProfile,
  published,
  stored,
  unlock,
  type Person,
} from '../e2e/support/person.ts';

const small = 300_000;
const patienceMs = 200_000;

let network: ProcessNetwork;
let alice: Person;
let bob: Person;
let bobsAddress = '';
/** What Alice has paid Bob, in tenths of a unit. */
let paid = 0;
/** A second tab of Alice's: nobody has to unlock anything to watch the network. */
let watcher: Page;

beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  alice = await openProfile(network.url);
  await createSafe(alice.page);
  await published(alice.page);
  bob = await openProfile(network.url);
  await createSafe(bob.page);
  await published(bob.page);
}, 400_000);

afterAll(async () => {
  await alice?.close();
  await bob?.close();
  await network?.stop();
});

const put = async (page: Page, seed: string) => {
  const file = makeFile(small, seed);
  await goTo(page, 'Files');
  await addFile(page, file.path);
  await stored(page, file.name);
  return file;
};

const inUnits = (tenths: number): string => (tenths / 10).toString();

/** One unit and some tenths, other than before: so the lines of the list can be told apart. */
async function payBob(): Promise<void> {
  const tenths = 11 + (paid % 9);
  paid += tenths;
  await goTo(alice.page, 'Money');
  await beginPayment(alice.page, bobsAddress, inUnits(tenths));
  // While a key hands over nothing is signed; then the same payment goes on under the new one.
  await sentPayment(alice.page, inUnits(tenths))
    .getByText(/^(Final|Arrived)$/)
    .first()
    .waitFor({ timeout: 90_000 });
  await balanceIs(alice.page, inUnits(1000 - paid));
}

const epochShown = async (): Promise<number> =>
  Number(await watcher.locator('[data-epoch]').first().getAttribute('data-epoch'));

test('two elders die: files and payments go on, and the page shows the new key by itself', async () => {
  await goTo(bob.page, 'Files');
  await put(bob.page, 'before');
  await goTo(bob.page, 'Money');
  bobsAddress = await addressOf(bob.page);
  // Bob's device is switched off with the map of today.
  await bob.context.close();

  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await balanceIs(alice.page, '100');

  watcher = await alice.context.newPage();
  await watcher.goto(`${network.url}/network`);
  await watcher.locator('[data-epoch="0"]').first().waitFor();
  expect(await watcher.getByText('Verified up to epoch 0').count()).toBe(1);

  const roles = await Promise.all(network.nodes.map(async (node) => (await node.status()).role));
  const elders = network.nodes.filter((_, at) => roles[at] === 'elder');
  const dead = await Promise.all(elders.slice(0, 2).map((node) => node.status()));
  await Promise.all(elders.slice(0, 2).map((node) => node.kill()));

  const deadline = Date.now() + patienceMs;
  const kept: { readonly name: string; readonly sha256: string }[] = [];
  const names = async (): Promise<readonly string[]> =>
    ((await networkStatus(watcher)).section?.elders ?? []).map(({ name }) => name);
  const replaced = async (): Promise<boolean> => {
    const now = await names();
    return (await epochShown()) > 0 && dead.every(({ name }) => !now.includes(name));
  };
  while (!(await replaced())) {
    if (Date.now() > deadline) throw new Error(`no new key: ${(await names()).join()}`);
    kept.push(await put(alice.page, `during-${kept.length}`));
    await payBob();
  }
  await watcher
    .getByText(/handed over to a new key/)
    .first()
    .waitFor();
  await watcher.getByText(/Verified up to epoch [1-9]/).waitFor();
  const after = await put(alice.page, 'after');
  for (const file of [...kept.slice(0, 2), after]) {
    expect(await download(alice.page, file.name)).toBe(file.sha256);
  }
}, 400_000);

test('a device that was away comes back with an old map and follows by proof', async () => {
  bob = await openProfile(network.url, { profile: bob.profile });
  await unlock(bob.page);
  await goTo(bob.page, 'Files');
  const file = makeFile(small, 'before');
  expect(await download(bob.page, file.name)).toBe(file.sha256);
  await put(bob.page, 'back');
  const status = await networkStatus(bob.page);
  expect(status).toMatchObject({ trust: 'verified', fork: null });
  expect((status as unknown as { verifiedEpoch: number }).verifiedEpoch).toBeGreaterThan(0);
}, 120_000);

test('money of every epoch arrives and is spent again', async () => {
  await payBob();
  await goTo(bob.page, 'Money');
  await balanceIs(bob.page, inUnits(paid), 120_000);
  const address = await addressOf(alice.page);
  // No coin of Bob's is that large: it takes two.
  await pay(bob.page, address, '2');
  await balanceIs(bob.page, inUnits(paid - 20));
  await balanceIs(alice.page, inUnits(1000 - paid + 20), 120_000);
}, 240_000);
