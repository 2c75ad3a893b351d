/**
 * Goal: two people with two browsers do what Safe is for, against a real network: create offline,
 * keep a file through the worker's death, open the same Safe elsewhere, pay, and not pay twice.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from './support/network.ts';
import {
  addFile,
  createSafe,
  download,
  goTo,
  makeFile,
  openProfile,
  openWithPhrase,
  password,
  published,
  readyForOffline,
  showPhrase,
  stopWorker,
  stored,
  unlock,
  type Person,
} from './support/person.ts';
import { addressOf, askFaucet, balanceIs, pay } from './support/money.ts';

const megabyte = 1024 * 1024;

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

test('a Safe is created without a network once the first visit is stored', async () => {
  await readyForOffline(alice.page);
  await alice.context.setOffline(true);
  await alice.page.reload();
  aliceWords = await createSafe(alice.page);
  expect(aliceWords.split(' ')).toHaveLength(13);
  await alice.page.getByRole('button', { name: 'Lock', exact: true }).click();
  await unlock(alice.page, 'not the password at all');
  await alice.page.getByText(/password doesn.t fit/i).waitFor();
  await unlock(alice.page);
  await alice.page.getByRole('button', { name: 'Lock', exact: true }).waitFor();
  await alice.context.setOffline(false);
  await published(alice.page);
});

test('64 MB arrive though the worker is stopped half-way, and come back byte for byte', async () => {
  const file = makeFile(64 * megabyte);
  await goTo(alice.page, 'Files');
  await addFile(alice.page, file.path);
  const bar = alice.page.getByRole('progressbar');
  await bar.waitFor();
  await expect
    .poll(async () => Number((await bar.first().getAttribute('aria-valuenow')) ?? 0), {
      timeout: 120_000,
      interval: 100,
    })
    .toBeGreaterThan(30);
  await stopWorker(alice.page);
  await stored(alice.page, file.name);
  await alice.page.reload();
  await unlock(alice.page);
  await goTo(alice.page, 'Files');
  const answering = alice.page.waitForResponse((answer) => answer.url().includes('/safe/files/'));
  expect(await download(alice.page, file.name)).toBe(file.sha256);
  // What a person stored must never run on the origin that holds their keys.
  expect((await answering).headers()).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': expect.stringMatching(/^attachment/) as string,
    'content-security-policy': expect.stringContaining('sandbox') as string,
    'x-content-type-options': 'nosniff',
  });
});

test('a mistyped phrase, an unknown phrase and a wrong password are told apart', async () => {
  const { page } = bob;
  const nobodys = await showPhrase(page);
  await page.reload();
  await page.getByRole('button', { name: 'Open my Safe' }).click();
  const words = aliceWords.split(' ');
  const phrase = page.getByLabel('Phrase', { exact: true });
  await phrase.fill([...words.slice(0, 4), 'zzzzz', ...words.slice(5)].join(' '));
  // Which word it is, and no way on: the password is not even asked for.
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
  await stored(bob.page, `picture-safe-${64 * megabyte}.bin`, 30_000);
});

test('two profiles that write at once keep both files', async () => {
  const [one, two] = [makeFile(3 * megabyte, 'one'), makeFile(2 * megabyte, 'two')];
  await goTo(alice.page, 'Files');
  await Promise.all([addFile(alice.page, one.path), addFile(bob.page, two.path)]);
  await Promise.all([stored(alice.page, one.name), stored(bob.page, two.name)]);
  await Promise.all([stored(alice.page, two.name, 60_000), stored(bob.page, one.name, 60_000)]);
});

test('bob has a Safe of his own; alice pays him and both balances are right', async () => {
  await goTo(bob.page, 'Safe');
  await bob.page.getByRole('button', { name: 'Forget this device' }).first().click();
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Forget this device' }).click();
  await createSafe(bob.page);
  await published(bob.page);
  await goTo(bob.page, 'Money');
  const address = await addressOf(bob.page);

  await goTo(alice.page, 'Money');
  await askFaucet(alice.page);
  await balanceIs(alice.page, '100');
  await pay(alice.page, address, '30.5');
  await balanceIs(alice.page, '69.5');
  await balanceIs(bob.page, '30.5');
});

test('closed and opened again, money and files are still there', async () => {
  bob = await bob.reopen();
  await unlock(bob.page, password);
  await goTo(bob.page, 'Money');
  await balanceIs(bob.page, '30.5');
});
