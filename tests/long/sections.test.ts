/**
 * Goal: two of seven elders fail permanently and the section hands over to a new key; a person only
 * notices a line on the Network page. Files and payments continue, also on a device that was away
 * and comes back with an old map.
 * Method: fourteen processes, real browsers.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startProcesses, type ProcessNetwork } from '../network/support/processes.ts';
import {
  shownAddress,
  askFaucet,
  waitForBalance,
  beginPayment,
  payInPage,
  sentPayment,
} from '../e2e/support/money.ts';
import {
  addFile,
  createSafeInPage,
  download,
  goTo,
  makeFile,
  networkStatus,
  openProfile,
  waitForPublished,
  waitForStored,
  unlock,
  type Person,
} from '../e2e/support/person.ts';

const small = 300_000;
const patienceMs = 200_000;

let network: ProcessNetwork;
let alice: Person;
let bob: Person;
let bobsAddress = '';
/** Alice's payments to Bob so far, in tenths of a unit. */
let paid = 0;
/** A second tab of Alice's: the Network page needs no unlocking. */
let watcher: Page;

beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  alice = await openProfile(network.url);
  await createSafeInPage(alice.page);
  await waitForPublished(alice.page);
  bob = await openProfile(network.url);
  await createSafeInPage(bob.page);
  await waitForPublished(bob.page);
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
  await waitForStored(page, file.name);
  return file;
};

const inUnits = (tenths: number): string => (tenths / 10).toString();

/** One unit and some tenths, each time a different amount: it identifies the line in the list. */
async function payBob(): Promise<void> {
  const tenths = 11 + (paid % 9);
  paid += tenths;
  await goTo(alice.page, 'Money');
  await beginPayment(alice.page, bobsAddress, inUnits(tenths));
  // No elder signs during a handover; the same payment then continues under the new key.
  await sentPayment(alice.page, inUnits(tenths))
    .getByText(/^(Final|Arrived)$/)
    .first()
    .waitFor({ timeout: 90_000 });
  await waitForBalance(alice.page, inUnits(1000 - paid));
}

const epochShown = async (): Promise<number> =>
  Number(await watcher.locator('[data-epoch]').first().getAttribute('data-epoch'));

test('two elders fail → files and payments continue, and the open page shows the new key', async () => {
  await goTo(bob.page, 'Files');
  await put(bob.page, 'before');
  await goTo(bob.page, 'Money');
  bobsAddress = await shownAddress(bob.page);
  // Bob's device is switched off with the current map.
  await bob.context.close();

  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await waitForBalance(alice.page, '100');

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

test('a device comes back with an old map → it follows the chain of keys by proof', async () => {
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

test('money of every epoch → it arrives and is spent again', async () => {
  await payBob();
  await goTo(bob.page, 'Money');
  await waitForBalance(bob.page, inUnits(paid), 120_000);
  const address = await shownAddress(alice.page);
  // Bob has no coin of this size: the payment takes two.
  await payInPage(bob.page, address, '2');
  await waitForBalance(bob.page, inUnits(paid - 20));
  await waitForBalance(alice.page, inUnits(1000 - paid + 20), 120_000);
}, 240_000);
