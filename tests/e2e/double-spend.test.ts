/**
 * Goal: one coin is spent once, whichever device tries and whatever crashes in between; and a payment whose
 * payer stopped after COMMIT still reaches its recipient.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import {
  shownAddress,
  askFaucet,
  waitForBalance,
  beginPayment,
  payInPage,
  sentPayment,
} from './support/money.ts';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  callWorker,
  createSafeInPage,
  elderNames,
  goTo,
  openProfile,
  openWithPhrase,
  waitForPublished,
  stopWorker,
  unlock,
  type Person,
} from './support/person.ts';
import { until } from './support/until.ts';

let network: TestNetwork;
let alice: Person;
let tablet: Person;
let bob: Person;
let words = '';
let bobsAddress = '';

beforeAll(async () => {
  network = await startNetwork();
  alice = await openProfile(network.url);
  words = await createSafeInPage(alice.page);
  await waitForPublished(alice.page);
  [tablet, bob] = await Promise.all([openProfile(network.url), openProfile(network.url)]);
  await createSafeInPage(bob.page);
  await goTo(bob.page, 'Money');
  bobsAddress = await shownAddress(bob.page);
});

afterAll(async () => {
  await Promise.all([alice?.close(), tablet?.close(), bob?.close()]);
  await network?.stop();
  network?.remove();
});

/** The number of outputs each elder lists. */
const listed = async (page: Page): Promise<readonly number[]> =>
  Promise.all(
    (await elderNames(page)).map(
      async (elder) => (await callWorker(page, 'outputs', { elder, after: 0 })).next,
    ),
  );

test('two offline profiles with the same coin: one payment, one clear sentence', async () => {
  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await waitForBalance(alice.page, '100');
  await openWithPhrase(tablet.page, words);
  await goTo(tablet.page, 'Money');
  await waitForBalance(tablet.page, '100');

  // Offline: the network is down while the tablet stores its payment, then the tablet is switched off.
  await network.kill();
  await beginPayment(tablet.page, bobsAddress, '10');
  await sentPayment(tablet.page, '10').waitFor();
  await tablet.context.close();
  await network.restart();

  await payInPage(alice.page, bobsAddress, '20');
  await waitForBalance(bob.page, '20');
  tablet = await openProfile(network.url, { profile: tablet.profile });
  await unlock(tablet.page);
  await goTo(tablet.page, 'Money');
  await sentPayment(tablet.page, '10').getByText('Replaced', { exact: true }).waitFor();
  await sentPayment(tablet.page, '10')
    .getByText(/Another device of this Safe had already (spent|begun).*nothing is lost/)
    .waitFor();
  await waitForBalance(tablet.page, '80');
  await waitForBalance(alice.page, '80');
  await waitForBalance(bob.page, '20');
}, 300_000);

test('the worker stopped again and again during a payment: paid once', async () => {
  await beginPayment(alice.page, bobsAddress, '1');
  for (let stop = 0; stop < 4; stop++) {
    await stopWorker(alice.page);
    await new Promise((go) => setTimeout(go, 150));
  }
  await sentPayment(alice.page, '1').getByText('Arrived', { exact: true }).waitFor();
  await waitForBalance(alice.page, '79');
  await waitForBalance(bob.page, '21');
}, 300_000);

test('killed between COMMIT and REGISTER, the payment is completed by its recipient', async () => {
  // Five acknowledgements end a payment; the last two elders list it a moment later.
  const before = await until(
    () => listed(bob.page),
    (counts) => new Set(counts).size === 1,
  );
  await network.registering(false);
  await alice.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await payInPage(alice.page, bobsAddress, '5');
  await alice.page.getByRole('button', { name: 'Copy receipt of 5' }).first().click();
  const receipt = await until(
    () => alice.page.evaluate(() => navigator.clipboard.readText()),
    (text) => text.startsWith('safereceipt1'),
  );
  await Promise.all([alice.context.close(), tablet.context.close()]);
  expect(await listed(bob.page)).toEqual(before);

  await network.registering(true);
  await bob.page.getByLabel('Receipt text').fill(receipt);
  await bob.page.getByRole('button', { name: 'Redeem', exact: true }).click();
  await waitForBalance(bob.page, '26');
  // Both outputs, the recipient's and the payer's change, are now in the elders' lists.
  await until(
    () => listed(bob.page),
    (now) => now.filter((count, elder) => count === (before[elder] ?? 0) + 2).length >= 5,
  );
}, 300_000);
