/**
 * Goal: what a real browser has shown as done is there afterwards, however soon the person locks,
 * closes, forgets, or the browser dies. Method: a script in the page does the next thing in the
 * moment that the list shows it, quicker than any hand.
 */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressOf, askFaucet, balanceIs, beginPayment, sentPayment } from './support/money.ts';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  addFile,
  createSafe,
  goTo,
  makeFile,
  openProfile,
  openWithPhrase,
  published,
  stored,
  unlock,
  type Person,
} from './support/person.ts';
import { until } from './support/until.ts';

let network: TestNetwork;
let person: Person;
let words = '';

beforeAll(async () => {
  network = await startNetwork();
  person = await openProfile(network.url);
  words = await createSafe(person.page);
  await published(person.page);
  await goTo(person.page, 'Money');
  await askFaucet(person.page);
  await balanceIs(person.page, '100');
});

afterAll(async () => {
  await person?.close();
  await network?.stop();
  network?.remove();
});

const lockButton = (page: Page) => page.getByRole('button', { name: 'Lock', exact: true });

/** Once an element fits the selector (and the text), goes to the place Safe and presses Lock. */
const lockAsSoonAs = (page: Page, selector: string, text = ''): Promise<void> =>
  page.evaluate(
    ([wanted, words]) =>
      new Promise<void>((done) => {
        let isShown = false;
        const look = (): void => {
          const all = [...document.querySelectorAll(wanted ?? '')];
          isShown ||= all.some((each) => (each.textContent ?? '').includes(words ?? ''));
          if (!isShown) return;
          const lock = [...document.querySelectorAll('button')].find(
            (button) => button.textContent?.trim() === 'Lock',
          );
          if (lock === undefined) {
            document.querySelector<HTMLElement>('nav a[href="/"]')?.click();
            return;
          }
          watch.disconnect();
          lock.click();
          done();
        };
        const watch = new MutationObserver(look);
        watch.observe(document.body, { subtree: true, childList: true, characterData: true });
        look();
      }),
    [selector, text],
  );

/** Resolves in the moment that the list shows the file. */
const listed = (page: Page, name: string): Promise<unknown> =>
  page.waitForSelector(`[aria-label="Download ${name}"]`, { timeout: 180_000 });

const add = async (page: Page, word: string): Promise<string> => {
  const file = makeFile(20_000, word);
  await goTo(page, 'Files');
  await addFile(page, file.path);
  return file.name;
};

async function unlocked(page: Page): Promise<void> {
  await unlock(page);
  await lockButton(page).waitFor();
}

async function comeBack(): Promise<Page> {
  const page = await person.context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(network.url);
  person.page = page;
  return page;
}

/** As if the power failed: no process of the browser hears of it. */
async function killBrowser(): Promise<void> {
  const lock = readlinkSync(join(person.profile, 'SingletonLock'));
  const pid = Number(/-(\d+)$/.exec(lock)?.[1]);
  expect(pid).toBeGreaterThan(1);
  const closed = new Promise<void>((done) => person.context.once('close', () => done()));
  process.kill(pid, 'SIGKILL');
  await closed;
}

test('a file is there though Lock is pressed in the moment that it is listed', async () => {
  const { page } = person;
  const name = await add(page, 'locked');
  await lockAsSoonAs(page, `[aria-label="Download ${name}"]`);
  await unlocked(page);
  await goTo(page, 'Files');
  await stored(page, name, 20_000);
});

test('a removed file stays removed though Lock is pressed in the moment that it is', async () => {
  const { page } = person;
  const name = await add(page, 'removed');
  await stored(page, name);
  await page.getByRole('button', { name: `More for ${name}` }).click();
  const locking = lockAsSoonAs(page, 'summary', 'Removed files');
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await locking;
  await unlocked(page);
  await goTo(page, 'Files');
  await page.getByText('Removed files (1)').waitFor();
  expect(await page.getByRole('button', { name: `Download ${name}` }).count()).toBe(0);
});

test('a payment is in the list though Lock is pressed in the moment that it is shown', async () => {
  const { page } = person;
  const other = await openProfile(network.url);
  try {
    await createSafe(other.page);
    await published(other.page);
    await goTo(other.page, 'Money');
    const address = await addressOf(other.page);
    await goTo(page, 'Money');
    const locking = lockAsSoonAs(page, 'li', 'Sent');
    await beginPayment(page, address, '5');
    await locking;
    await unlocked(page);
    await goTo(page, 'Money');
    await sentPayment(page, '5').waitFor();
    await balanceIs(page, '95');
    await balanceIs(other.page, '5');
  } finally {
    await other.close();
  }
});

test('a second tab that was open before shows what the first one has done', async () => {
  const first = person.page;
  await goTo(first, 'Safe');
  await lockButton(first).click();
  const second = await person.context.newPage();
  await second.goto(network.url);
  await second.getByRole('button', { name: 'Unlock' }).waitFor();
  await unlocked(first);
  const name = await add(first, 'tabs');
  await lockAsSoonAs(first, `[aria-label="Download ${name}"]`);
  await unlocked(second);
  await goTo(second, 'Files');
  await stored(second, name, 20_000);
  await second.close();
  await unlocked(first);
});

test('a file is there though the tab is closed in the moment that it is listed', async () => {
  const name = await add(person.page, 'closed');
  await listed(person.page, name);
  await person.page.close();
  const page = await comeBack();
  await unlocked(page);
  await goTo(page, 'Files');
  await stored(page, name, 20_000);
});

test('a file is there though the browser is killed in the moment that it is listed', async () => {
  const name = await add(person.page, 'killed');
  await listed(person.page, name);
  await killBrowser();
  person = await openProfile(network.url, { profile: person.profile });
  await unlocked(person.page);
  await goTo(person.page, 'Files');
  await stored(person.page, name, 20_000);
});

test('a Safe forgotten in the moment that a file is listed opens with it by the phrase', async () => {
  const { page } = person;
  const name = await add(page, 'forgotten');
  await listed(page, name);
  await goTo(page, 'Safe');
  await page.getByRole('button', { name: 'Forget this device' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Forget this device' }).click();
  const opening = page.getByRole('button', { name: 'Open my Safe' });
  await until(
    () => opening.count(),
    (count) => count > 0,
    60_000,
  );
  await openWithPhrase(page, words);
  await lockButton(page).waitFor();
  await goTo(page, 'Files');
  await stored(page, name, 60_000);
  await goTo(page, 'Money');
  await balanceIs(page, '95');
});
