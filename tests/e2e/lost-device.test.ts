/**
 * Goal: a device that is destroyed right after *Confirm* does not take its money with it: with the phrase, another
 * device completes the payment and can spend all the rest (PAYMENT-P8).
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  askFaucet,
  beginPayment,
  payInPage,
  sentPayment,
  shownAddress,
  waitForBalance,
} from './support/money.ts';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  createSafeInPage,
  goTo,
  openProfile,
  openWithPhrase,
  waitForPublished,
  type Person,
} from './support/person.ts';

const adults = [0, 1, 2, 3, 4, 5];

let network: TestNetwork;
let bob: Person;
let tablet: Person | undefined;

beforeAll(async () => {
  network = await startNetwork();
  bob = await openProfile(network.url);
});

afterAll(async () => {
  await Promise.all([bob?.close(), tablet?.close()]);
  await network?.stop();
  network?.remove();
});

test('destroyed after Confirm: opened with the phrase, the payment is completed and all the rest can be spent', async () => {
  await createSafeInPage(bob.page);
  await goTo(bob.page, 'Money');
  const bobsAddress = await shownAddress(bob.page);
  const alice = await openProfile(network.url);
  const words = await createSafeInPage(alice.page);
  await waitForPublished(alice.page);
  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await waitForBalance(alice.page, '100');

  // The elders prepare the payment and do not commit it; the index does not reach the network.
  await network.committing(false);
  await Promise.all(adults.map((index) => network.adult(index, 'off')));
  await beginPayment(alice.page, bobsAddress, '10');
  await sentPayment(alice.page, '10').getByText('Being signed', { exact: true }).waitFor();
  await alice.close();
  await Promise.all(adults.map((index) => network.adult(index, 'ok')));
  await network.committing(true);

  tablet = await openProfile(network.url);
  await openWithPhrase(tablet.page, words);
  await goTo(tablet.page, 'Money');
  await waitForBalance(tablet.page, '100');
  expect(await tablet.page.getByRole('listitem').filter({ hasText: 'Sent' }).count()).toBe(0);
  await beginPayment(tablet.page, bobsAddress, '20');
  const startedMs = performance.now();
  await sentPayment(tablet.page, '20').getByText('Replaced', { exact: true }).waitFor();
  await sentPayment(tablet.page, '20')
    .getByText(/had already begun a payment with the same money, of 10; it was completed/)
    .waitFor();
  await tablet.page.getByText(/recipient unknown/).waitFor();
  await waitForBalance(tablet.page, '90');
  expect(performance.now() - startedMs).toBeLessThan(60_000);
  await waitForBalance(bob.page, '10');
  await payInPage(tablet.page, bobsAddress, '90');
  await waitForBalance(tablet.page, '0');
  await waitForBalance(bob.page, '100');
}, 300_000);
