/**
 * A payment from the click until the page shows it as final, compared with the minimum of this
 * protocol: two round trips to seven elders and the curve arithmetic.
 */
import { availableParallelism } from 'node:os';
import type { Page } from 'playwright-core';
import {
  createSafeInPage,
  goTo,
  openProfile,
  waitForPublished,
} from '../tests/e2e/support/person.ts';
import { shownAddress, askFaucet, waitForBalance } from '../tests/e2e/support/money.ts';
import { cryptoCost, type CryptoCost } from './support/crypto-cost.ts';
import { median, report, row, printLine, type Row } from './support/report.ts';
import { openBrowserBench, type BrowserBench } from './support/browser-bench.ts';

const payments = 7;
const roundTripRounds = 15;
const eldersInSection = 7;

/** Fills the form; the page itself measures the time from the click to "Final". */
async function payOnce(page: Page, address: string, amount: string): Promise<number> {
  await page.getByLabel('Address', { exact: true }).fill(address);
  await page.getByLabel('Amount', { exact: true }).fill(amount);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  const confirm = page.getByRole('dialog').getByRole('button', { name: 'Confirm' });
  await confirm.waitFor();
  await page.evaluate((wanted) => {
    const isFinal = (): boolean =>
      [...document.querySelectorAll('li')].some((item) => {
        const text = item.textContent ?? '';
        return text.includes('Sent') && text.includes(wanted) && /Final|Arrived/.test(text);
      });
    const measured = new Promise<number>((done) => {
      addEventListener(
        'click',
        () => {
          const clickedMs = performance.now();
          const look = (): void => {
            if (!isFinal()) return;
            watching.disconnect();
            done(performance.now() - clickedMs);
          };
          const watching = new MutationObserver(look);
          const everything = { subtree: true, childList: true, characterData: true };
          watching.observe(document.body, everything);
        },
        { once: true, capture: true },
      );
    });
    Object.assign(globalThis, { measured });
  }, amount);
  await confirm.click();
  return page.evaluate(() => (globalThis as unknown as { measured: Promise<number> }).measured);
}

async function payMany(stage: BrowserBench): Promise<readonly number[]> {
  const { page } = stage.person;
  const recipient = await openProfile(stage.network.url);
  await createSafeInPage(recipient.page);
  await waitForPublished(recipient.page);
  await goTo(recipient.page, 'Money');
  const address = await shownAddress(recipient.page);
  await recipient.close();

  await goTo(page, 'Money');
  await askFaucet(page);
  await waitForBalance(page, '100');
  const took: number[] = [];
  let left = 100;
  for (let n = 0; n <= payments; n++) {
    const amount = 1 + (n + 1) / 100;
    const ms = await payOnce(page, address, amount.toFixed(2));
    // The first payment warms the code of every process.
    if (n > 0) took.push(ms);
    left = Math.round((left - amount) * 100) / 100;
    await waitForBalance(page, String(left));
  }
  return took;
}

/**
 * The curve arithmetic between click and final, in milliseconds:
 *
 *   sign + 2·(combine + verify)                          one thread of the browser
 *   + 7·(ringVerify + 2·blsVerify + 2·blsSign) ÷ cores   seven elders on one machine
 *
 * One input: an elder verifies the coin's source and the ring before its PREPARE share, and the
 * PREPARE certificate before its COMMIT share; the payer combines five shares and verifies twice.
 */
function cryptoFloor(browser: CryptoCost, node: CryptoCost, cores: number): number {
  const payer = browser.ringSign + 2 * (browser.blsCombine + browser.blsVerify);
  const elder = node.ringVerify + 2 * node.blsVerify + 2 * node.blsSign;
  return payer + (eldersInSection * elder) / cores;
}

const stage = await openBrowserBench();
const rows: Row[] = [];
try {
  const { relay, networkId, elders, inWorker } = stage;
  printLine('Paying …');
  const paid = await payMany(stage);
  printLine('Round trips and curves …');
  const trips = median(await inWorker('roundTrips', relay, networkId, elders, roundTripRounds));
  const inBrowser = await inWorker('cryptoCost');
  const inNode = cryptoCost();
  const cores = availableParallelism();
  const floor = cryptoFloor(inBrowser, inNode, cores);
  rows.push(
    row('pay.clickToFinal', median(paid), 'ms', {
      name: 'two round trips to 7 elders + crypto floor',
      value: trips + floor,
    }),
    row('pay.clickToFinal.slowest', Math.max(...paid), 'ms'),
    row('pay.twoRoundTrips', trips, 'ms'),
    row('pay.cryptoFloor', floor, 'ms'),
  );
  for (const [where, cost] of [
    ['browser', inBrowser],
    ['node', inNode],
  ] as const) {
    for (const [name, ms] of Object.entries(cost)) rows.push(row(`${where}.${name}`, ms, 'ms'));
  }
} finally {
  await stage.close();
}
report('money', rows);
process.exit(0);
