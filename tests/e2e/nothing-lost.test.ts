/**
 * Goal: everything a real browser has shown as done persists, however soon the person locks, closes,
 * forgets, or the browser crashes. Method: a script in the page acts at the moment when the list shows it,
 * faster than any person.
 */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  shownAddress,
  askFaucet,
  waitForBalance,
  beginPayment,
  sentPayment,
} from './support/money.ts';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  addFile,
  createSafeInPage,
  goTo,
  makeFile,
  openProfile,
  openWithPhrase,
  waitForPublished,
  waitForStored,
  unlock,
  type Person,
} from './support/person.ts';
import { patienceMs, until } from './support/until.ts';

let network: TestNetwork;
let person: Person;
let words = '';

beforeAll(async () => {
  network = await startNetwork();
  person = await openProfile(network.url);
  words = await createSafeInPage(person.page);
  await waitForPublished(person.page);
  await goTo(person.page, 'Money');
  await askFaucet(person.page);
  await waitForBalance(person.page, '100');
});

afterAll(async () => {
  await person?.close();
  await network?.stop();
  network?.remove();
});

const lockButton = (page: Page) => page.getByRole('button', { name: 'Lock', exact: true });

/** Once an element matches the selector (and the text), opens the Safe page and presses Lock. */
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

/** Resolves at the moment when the list shows the file. */
const listed = (page: Page, name: string): Promise<unknown> =>
  page.waitForSelector(`[aria-label="Download ${name}"]`, { timeout: patienceMs });

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
  page.setDefaultTimeout(patienceMs);
  await page.goto(network.url);
  person.page = page;
  return page;
}

/** Like a power failure: no process of the browser is notified. */
async function killBrowser(): Promise<void> {
  const lock = readlinkSync(join(person.profile, 'SingletonLock'));
  const pid = Number(/-(\d+)$/.exec(lock)?.[1]);
  expect(pid).toBeGreaterThan(1);
  const closed = new Promise<void>((done) => person.context.once('close', () => done()));
  process.kill(pid, 'SIGKILL');
  await closed;
}

test('Lock at the moment a file is listed → the file persists', async () => {
  const { page } = person;
  const name = await add(page, 'locked');
  await lockAsSoonAs(page, `[aria-label="Download ${name}"]`);
  await unlocked(page);
  await goTo(page, 'Files');
  await waitForStored(page, name);
});

test('Lock at the moment a file is removed → it stays removed', async () => {
  const { page } = person;
  const name = await add(page, 'removed');
  await waitForStored(page, name);
  await page.getByRole('button', { name: `More for ${name}` }).click();
  const locking = lockAsSoonAs(page, 'summary', 'Removed files');
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await locking;
  await unlocked(page);
  await goTo(page, 'Files');
  await page.getByText('Removed files (1)').waitFor();
  expect(await page.getByRole('button', { name: `Download ${name}` }).count()).toBe(0);
});

test('Lock at the moment a payment is shown → it is in the list', async () => {
  const { page } = person;
  const other = await openProfile(network.url);
  try {
    await createSafeInPage(other.page);
    await waitForPublished(other.page);
    await goTo(other.page, 'Money');
    const address = await shownAddress(other.page);
    await goTo(page, 'Money');
    const locking = lockAsSoonAs(page, 'li', 'Sent');
    await beginPayment(page, address, '5');
    await locking;
    await unlocked(page);
    await goTo(page, 'Money');
    await sentPayment(page, '5').waitFor();
    await waitForBalance(page, '95');
    await waitForBalance(other.page, '5');
  } finally {
    await other.close();
  }
});

test('an older second tab shows the changes of the first', async () => {
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
  await waitForStored(second, name);
  await second.close();
  await unlocked(first);
});

test('the tab is closed at the moment a file is listed → the file persists', async () => {
  const name = await add(person.page, 'closed');
  await listed(person.page, name);
  await person.page.close();
  const page = await comeBack();
  await unlocked(page);
  await goTo(page, 'Files');
  await waitForStored(page, name);
});

test('the browser is killed at the moment a file is listed → the file persists', async () => {
  const name = await add(person.page, 'killed');
  await listed(person.page, name);
  await killBrowser();
  person = await openProfile(network.url, { profile: person.profile });
  await unlocked(person.page);
  await goTo(person.page, 'Files');
  await waitForStored(person.page, name);
});

test('a Safe forgotten at the moment a file is listed opens with it by the phrase', async () => {
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
  );
  await openWithPhrase(page, words);
  await lockButton(page).waitFor();
  await goTo(page, 'Files');
  await waitForStored(page, name);
  await goTo(page, 'Money');
  await waitForBalance(page, '95');
});
