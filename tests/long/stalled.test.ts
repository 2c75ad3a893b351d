/**
 * Goal: while three of its section's seven elders are away, a page states that the section cannot
 * decide; when one is back, it states that this is over (N29). Before that, the published chain
 * becomes a checkpoint of the app (N33).
 * Method: a network of processes, three killed at once, one started again; one real browser.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  startProcesses,
  type ProcessNetwork,
  type ProcessNode,
} from '../network/support/processes.ts';
import { addressOf as addressOfKeys, encodeAddress } from '#money/wallet-address.ts';
import { walletKeys } from '#money/wallet-keys.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { performVerifyUpdate } from '#protocol/section/index.ts';
import { planPin, openTrustStore } from '#roles/light-client/stored-sections.ts';
import { checkpointsFor } from '../../src/service-worker/checkpoints.ts';
import { fromHex } from '#core/codec/bytes.ts';
import { askFaucet, shownBalance, beginPayment, sentPayment } from '../e2e/support/money.ts';
import { until } from '../e2e/support/until.ts';
import { createSafeInPage, goTo, openProfile, type Person } from '../e2e/support/person.ts';

const tool = new URL('../../bin/lib/checkpoints.js', import.meta.url).href;
const { withNetwork } = (await import(/* @vite-ignore */ tool)) as {
  readonly withNetwork: (checkpoints: unknown, status: unknown) => unknown;
};
let network: ProcessNetwork;
let person: Person;

beforeAll(async () => {
  network = await startProcesses({ adults: 4 });
  person = await openProfile(network.url);
}, 300_000);

afterAll(async () => {
  await person?.close();
  await network?.stop();
});

test("N33: a checkpoint from the network's status → proven to an app that ships it", async () => {
  const status = await until(
    () => network.status(),
    ({ sections }) => sections.length === 1 && (sections[0]?.agreed ?? 0) >= 2,
  );
  const file = withNetwork({ format: 1, networks: [] }, status);
  const [proof] = checkpointsFor(status.network.networkId, file);
  const served = (await (await fetch(`${network.url}/network.json`)).json()) as {
    readonly genesisKey: string;
  };
  const [networkId, genesisKey] = [status.network.networkId, served.genesisKey].map(bytesOf);
  if (!proof || !networkId || !genesisKey) throw new Error('a proof');
  const pins = openTrustStore({ networkId, genesisKey });
  const plan = planPin(pins, proof);
  const verified = plan.kind === 'verify' ? performVerifyUpdate(blsSuite, plan.job) : undefined;
  expect(verified?.ok).toBe(true);
  // The same proof under another network's genesis key proves nothing.
  const elsewhere = genesisKey.with(0, (genesisKey[0] ?? 0) ^ 1);
  expect(planPin(openTrustStore({ networkId, genesisKey: elsewhere }), proof).kind).toBe('refused');
}, 120_000);

test('N29: three elders are killed → the page names what waits, until one is back', async () => {
  const { page } = person;
  await createSafeInPage(page);
  await goTo(page, 'Money');
  await askFaucet(page);
  await until(
    () => shownBalance(page),
    (balance) => Number(balance) > 1,
    120_000,
  );
  await goTo(page, 'Network');
  const stalledText = page.locator('[role=status][data-stalled]');
  await page.getByText('7 of 7 elders connected').waitFor({ timeout: 120_000 });
  expect(await stalledText.innerText()).toBe('');

  const elders: ProcessNode[] = [];
  for (const node of network.nodes) if ((await node.status()).role === 'elder') elders.push(node);
  const victims = elders.slice(0, 3);
  await Promise.all(victims.map((each) => each.kill()));
  await stalledText.getByText('4 of its 7 elders answer this device, and 5 are needed').waitFor({
    timeout: 120_000,
  });
  await page.locator('summary').getByText('cannot decide now').waitFor();
  await goTo(page, 'Money');
  await stalledText.getByText('Payments wait and nothing is lost').waitFor();
  await beginPayment(page, await newUserAddress(network.url), '0.5');
  const payment = sentPayment(page, '0.5');
  await payment.getByText('The section cannot decide at the moment').waitFor({ timeout: 60_000 });

  await victims[0]?.restart();
  await payment.getByText(/^(Final|Arrived)$/).waitFor({ timeout: 240_000 });
  await expect.poll(() => stalledText.innerText(), { timeout: 180_000 }).toBe('');
}, 600_000);

/** A wallet address whose payments no client collects. */
async function newUserAddress(url: string): Promise<string> {
  const file = (await (await fetch(`${url}/network.json`)).json()) as {
    readonly networkId: string;
  };
  return encodeAddress(
    bytesOf(file.networkId),
    addressOfKeys(walletKeys(new Uint8Array(32).fill(7))),
  );
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error('no hex');
  return bytes.value;
}
