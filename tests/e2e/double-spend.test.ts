/**
 * Goal: one coin is spent once, whoever tries and whatever dies in between; and a payment whose
 * payer died after COMMIT reaches its recipient all the same.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decodeCbor } from '#core/codec/cbor.ts';
import type { Page } from 'playwright-core';
import {
  addressOf,
  askFaucet,
  balanceIs,
  beginPayment,
  pay,
  sentPayment,
} from './support/money.ts';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  createSafe,
  goTo,
  openProfile,
  openWithPhrase,
  published,
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
  words = await createSafe(alice.page);
  await published(alice.page);
  [tablet, bob] = await Promise.all([openProfile(network.url), openProfile(network.url)]);
  await createSafe(bob.page);
  await goTo(bob.page, 'Money');
  bobsAddress = await addressOf(bob.page);
});

afterAll(async () => {
  await Promise.all([alice?.close(), tablet?.close(), bob?.close()]);
  await network?.stop();
  network?.remove();
});

/** How many outputs each elder lists. */
const listed = (page: Page): Promise<readonly number[]> =>
  Promise.all(
    Array.from({ length: 7 }, async (_, elder) => {
      const bytes = await page.evaluate(async (index) => {
        const body = JSON.stringify({ elder: index, after: 0 });
        const answer = await fetch('/safe/rpc/outputs', {
          method: 'POST',
          headers: { 'x-safe-call': '1' },
          body,
        });
        return [...new Uint8Array(await answer.arrayBuffer())];
      }, elder);
      const page_ = decodeCbor(new Uint8Array(bytes));
      return page_.ok ? (page_.value as { next: number }).next : -1;
    }),
  );

test('two profiles that hold the same coin while apart: one payment, one clear sentence', async () => {
  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await balanceIs(alice.page, '100');
  await openWithPhrase(tablet.page, words);
  await goTo(tablet.page, 'Money');
  await balanceIs(tablet.page, '100');

  // Apart: the network is away while the tablet writes its payment down, then the tablet goes off.
  await network.kill();
  await beginPayment(tablet.page, bobsAddress, '10');
  await sentPayment(tablet.page, '10').waitFor();
  await tablet.context.close();
  await network.restart();

  await pay(alice.page, bobsAddress, '20');
  await balanceIs(bob.page, '20');
  tablet = await openProfile(network.url, { profile: tablet.profile });
  await unlock(tablet.page);
  await goTo(tablet.page, 'Money');
  await sentPayment(tablet.page, '10').getByText('Replaced', { exact: true }).waitFor();
  await sentPayment(tablet.page, '10')
    .getByText(/Another device of this Safe had already spent this coin\..*nothing is lost/)
    .waitFor();
  await balanceIs(tablet.page, '80');
  await balanceIs(alice.page, '80');
  await balanceIs(bob.page, '20');
}, 300_000);

test('the worker stopped again and again in the middle of a payment: paid once', async () => {
  await beginPayment(alice.page, bobsAddress, '1');
  for (let stop = 0; stop < 4; stop++) {
    await stopWorker(alice.page);
    await new Promise((go) => setTimeout(go, 150));
  }
  await sentPayment(alice.page, '1').getByText('Arrived', { exact: true }).waitFor();
  await balanceIs(alice.page, '79');
  await balanceIs(bob.page, '21');
}, 120_000);

test('killed between COMMIT and REGISTER, the payment is completed by its recipient', async () => {
  // Five acknowledgements end a payment; the last two elders list it a moment later.
  const before = await until(
    () => listed(bob.page),
    (counts) => new Set(counts).size === 1,
  );
  await network.registering(false);
  await alice.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await pay(alice.page, bobsAddress, '5');
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
  await balanceIs(bob.page, '26');
  // Both outputs, the recipient's and the payer's change, are now in the elders' lists.
  await until(
    () => listed(bob.page),
    (now) => now.filter((count, elder) => count === (before[elder] ?? 0) + 2).length >= 5,
  );
}, 300_000);
