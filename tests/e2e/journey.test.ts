/**
 * Goal: two people with two browsers use Safe against a real network: create offline, keep a file through a
 * restart of the worker, open the same Safe elsewhere, pay, and not pay twice.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  addFile,
  createSafeInPage,
  download,
  goTo,
  makeFile,
  openProfile,
  openWithPhrase,
  password,
  waitForPublished,
  readyForOffline,
  showPhrase,
  stopWorker,
  waitForStored,
  unlock,
  type Person,
} from './support/person.ts';
import { shownAddress, askFaucet, waitForBalance, payInPage } from './support/money.ts';
import { patienceMs } from './support/until.ts';

const megabyte = 1024 * 1024;
/** Two dozen pieces: several are left when the worker is stopped half-way. */
const fileBytes = 24 * megabyte;

let network: TestNetwork;
let alice: Person;
let bob: Person;
let aliceWords = '';

beforeAll(async () => {
  network = await startNetwork();
  [alice, bob] = await Promise.all([openProfile(network.url), openProfile(network.url)]);
});

afterAll(async () => {
  await Promise.all([alice?.close(), bob?.close()]);
  await network?.stop();
  network?.remove();
});

test('a Safe is created offline once the first visit is stored', async () => {
  await readyForOffline(alice.page);
  await alice.context.setOffline(true);
  await alice.page.reload();
  aliceWords = await createSafeInPage(alice.page);
  expect(aliceWords.split(' ')).toHaveLength(13);
  await alice.page.getByRole('button', { name: 'Lock', exact: true }).click();
  await unlock(alice.page, 'not the password at all');
  await alice.page.getByText(/password doesn.t fit/i).waitFor();
  await unlock(alice.page);
  await alice.page.getByRole('button', { name: 'Lock', exact: true }).waitFor();
  await alice.context.setOffline(false);
  await waitForPublished(alice.page);
});

test('24 MB are uploaded although the worker is stopped half-way, and come back byte for byte', async () => {
  const file = makeFile(fileBytes);
  await goTo(alice.page, 'Files');
  await addFile(alice.page, file.path);
  const bar = alice.page.getByRole('progressbar');
  await bar.waitFor();
  await expect
    .poll(async () => Number((await bar.first().getAttribute('aria-valuenow')) ?? 0), {
      timeout: patienceMs,
      interval: 100,
    })
    .toBeGreaterThan(30);
  await stopWorker(alice.page);
  await waitForStored(alice.page, file.name);
  await alice.page.reload();
  await unlock(alice.page);
  await goTo(alice.page, 'Files');
  const answering = alice.page.waitForResponse((answer) => answer.url().includes('/safe/files/'));
  expect(await download(alice.page, file.name)).toBe(file.sha256);
  // Stored content must never run on the origin that holds the keys.
  expect((await answering).headers()).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': expect.stringMatching(/^attachment/) as string,
    'content-security-policy': expect.stringContaining('sandbox') as string,
    'x-content-type-options': 'nosniff',
  });
});

test('a mistyped phrase, an unknown phrase and a wrong password are distinguished', async () => {
  const { page } = bob;
  const nobodys = await showPhrase(page);
  await page.reload();
  await page.getByRole('button', { name: 'Open my Safe' }).click();
  const words = aliceWords.split(' ');
  const phrase = page.getByLabel('Phrase', { exact: true });
  await phrase.fill([...words.slice(0, 4), 'zzzzz', ...words.slice(5)].join(' '));
  // The page names the word and stops there: it does not even ask for the password.
  await page
    .getByText(/Word 5.*zzzzz|zzzzz.*word 5|“zzzzz” isn.t/i)
    .first()
    .waitFor();
  expect(await page.getByLabel('Password', { exact: true }).count()).toBe(0);

  await page.reload();
  await openWithPhrase(page, nobodys);
  await page.getByText(/no Safe was found for it/i).waitFor();

  await page.reload();
  await openWithPhrase(page, aliceWords, 'some other password 77');
  await page.getByText(/password doesn.t fit/i).waitFor();
});

test('the same phrase and password show the same files in another profile', async () => {
  await bob.page.reload();
  await openWithPhrase(bob.page, aliceWords);
  await bob.page.getByRole('button', { name: 'Lock', exact: true }).waitFor();
  await goTo(bob.page, 'Files');
  await waitForStored(bob.page, `picture-safe-${fileBytes}.bin`);
});

test('two profiles that write concurrently keep both files', async () => {
  const [one, two] = [makeFile(3 * megabyte, 'one'), makeFile(2 * megabyte, 'two')];
  await goTo(alice.page, 'Files');
  await Promise.all([addFile(alice.page, one.path), addFile(bob.page, two.path)]);
  await Promise.all([waitForStored(alice.page, one.name), waitForStored(bob.page, two.name)]);
  await Promise.all([waitForStored(alice.page, two.name), waitForStored(bob.page, one.name)]);
});

test('bob has his own Safe; alice pays him and both balances are right', async () => {
  await goTo(bob.page, 'Safe');
  await bob.page.getByRole('button', { name: 'Forget this device' }).first().click();
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Forget this device' }).click();
  await createSafeInPage(bob.page);
  await waitForPublished(bob.page);
  await goTo(bob.page, 'Money');
  const address = await shownAddress(bob.page);

  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await waitForBalance(alice.page, '100');
  await payInPage(alice.page, address, '30.5');
  await waitForBalance(alice.page, '69.5');
  await waitForBalance(bob.page, '30.5');
});

test('closed and opened again, money and files are still there', async () => {
  bob = await bob.reopen();
  await unlock(bob.page, password);
  await goTo(bob.page, 'Money');
  await waitForBalance(bob.page, '30.5');
});
