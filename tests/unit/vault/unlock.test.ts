/**
 * Goal: a Safe opens with its phrase and password, reports the true reason otherwise, and stays on its
 * network.
 */
import { expect, test } from 'vitest';
import { createBrowser, createNetwork, goodPassword, isOpen, openTab, openWith } from './world.ts';

const newWords = async (tab: ReturnType<typeof openTab>): Promise<string> =>
  (await tab.ask({ kind: 'newPhrase' })).words.join(' ');

test('a Safe is made, locked and reopened without any network', async () => {
  const browser = createBrowser(null);
  const tab = openTab(browser);
  await tab.until((view): view is typeof view => view.kind === 'none');
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  const made = await tab.until(isOpen);
  expect(made).toMatchObject({ published: 'waiting', files: [] });
  expect(made.fingerprint.split(' ')).toHaveLength(3);

  await tab.ask({ kind: 'lock' });
  const locked = await tab.until((view): view is typeof view => view.kind === 'locked');
  expect(locked).toEqual({ kind: 'locked', fingerprint: made.fingerprint });
  await expect(tab.ask({ kind: 'openFile', fileId: '00' })).rejects.toMatchObject({
    kind: 'locked',
  });

  const later = openTab(browser);
  const wrong = later.ask({ kind: 'unlockHere', password: 'wrong horse battery staple' });
  await expect(wrong).rejects.toMatchObject({ kind: 'wrongPassword' });
  await later.ask({ kind: 'unlockHere', password: goodPassword });
  expect((await later.until(isOpen)).fingerprint).toBe(made.fingerprint);
});

test("a device's data neither opens with another password nor contains phrase or password", async () => {
  const browser = createBrowser(null);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  const [record] = await browser.store.listSafes();
  const stored = Buffer.from(JSON.stringify(record)).toString();
  for (const secret of [
    goodPassword,
    ...words
      .split(' ')
      .slice(0, 2)
      .map((w) => ` ${w} `),
  ]) {
    expect(stored).not.toContain(secret);
  }
});

test('a password is not checked before a phrase or this device was accepted', async () => {
  const tab = openTab(createBrowser(createNetwork('n')));
  const words = (await newWords(tab)).split(' ');
  const slipped = [...words.slice(0, 6), 'xyxyxy', ...words.slice(7)].join(' ');
  for (const kind of ['createSafe', 'unlockWithPhrase'] as const) {
    const request = { kind, words: slipped, password: 'aaaaaaaa', remember: true } as const;
    await expect(tab.ask(request)).rejects.toMatchObject({
      kind: 'phraseInvalid',
      phrase: { kind: 'unknownWord', position: 7, word: 'xyxyxy' },
    });
  }
  await expect(tab.ask({ kind: 'unlockHere', password: goodPassword })).rejects.toMatchObject({
    kind: 'locked',
  });
  expect(tab.stretched()).toBe(0);
});

test('a weak password is refused at creation with its price', async () => {
  const tab = openTab(createBrowser(null));
  const words = await newWords(tab);
  const weak = tab.ask({ kind: 'createSafe', words, password: 'password123' });
  await expect(weak).rejects.toMatchObject({
    kind: 'weakPassword',
    message: expect.stringContaining('less than $1') as string,
  });
});

test('in a second browser: unknown phrase, wrong password and no network are distinguished', async () => {
  const network = createNetwork('home');
  const first = openTab(createBrowser(network));
  const words = await newWords(first);
  await first.ask({ kind: 'createSafe', words, password: goodPassword });
  await first.until(openWith((view) => view.published === 'published'));

  const browser = createBrowser(network);
  const second = openTab(browser);
  const open = (typed: string, password: string) =>
    second.ask({ kind: 'unlockWithPhrase', words: typed, password, remember: true });

  const strange = await newWords(second);
  await expect(open(strange, goodPassword)).rejects.toMatchObject({ kind: 'phraseUnknown' });
  await expect(open(words, 'wrong horse battery staple')).rejects.toMatchObject({
    kind: 'wrongPassword',
  });
  await expect(open(words, 'short')).rejects.toMatchObject({ kind: 'wrongPassword' });
  browser.online = false;
  await expect(open(words, goodPassword)).rejects.toMatchObject({ kind: 'offline' });
  expect(await browser.store.listSafes()).toEqual([]);

  browser.online = true;
  await open(words, goodPassword);
  expect(await second.until(isOpen)).toMatchObject({ published: 'published' });
  browser.online = false;
  await second.ask({ kind: 'lock' });
  await second.ask({ kind: 'unlockHere', password: goodPassword });
  await second.until(isOpen);
});

test('a Safe that this device must not remember leaves nothing on the device', async () => {
  const network = createNetwork('home');
  const first = openTab(createBrowser(network));
  const words = await newWords(first);
  await first.ask({ kind: 'createSafe', words, password: goodPassword });
  await first.until(openWith((view) => view.published === 'published'));
  const browser = createBrowser(network);
  const guest = openTab(browser);
  await guest.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: false });
  await guest.until(isOpen);
  expect(await browser.store.listSafes()).toEqual([]);
  await guest.ask({ kind: 'lock' });
  await guest.until((view): view is typeof view => view.kind === 'none');
});

test('forgetting removes the Safe from this device only', async () => {
  const network = createNetwork('home');
  const browser = createBrowser(network);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.until(openWith((view) => view.published === 'published'));
  await tab.ask({ kind: 'forget', evenUnsaved: false });
  await tab.until((view): view is typeof view => view.kind === 'none');
  expect(await browser.store.listSafes()).toEqual([]);
  await tab.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: true });
  await tab.until(isOpen);
});

test('creating with a phrase this device already has opens that Safe, with its password only', async () => {
  const browser = createBrowser(null);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  const other = tab.ask({ kind: 'createSafe', words, password: 'violin-gravel-marble-19-teapot' });
  await expect(other).rejects.toMatchObject({ kind: 'wrongPassword' });
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  expect(await browser.store.listSafes()).toHaveLength(1);
});

test('opened against another network nothing is changed, and the pinned network opens it again', async () => {
  const [home, other] = [createNetwork('home'), createNetwork('elsewhere')];
  const browser = createBrowser(home);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.until(openWith((view) => view.published === 'published'));
  await tab.ask({ kind: 'lock' });
  const [before] = await browser.store.listSafes();

  browser.network = other;
  browser.calls.length = 0;
  const astray = openTab(browser);
  const view = await astray.until((view): view is typeof view => view.kind !== 'starting');
  expect(view).toMatchObject({
    kind: 'otherNetwork',
    pinned: { name: 'home' },
    served: { name: 'elsewhere' },
  });
  await expect(astray.ask({ kind: 'unlockHere', password: goodPassword })).rejects.toMatchObject({
    kind: 'otherNetwork',
  });
  expect(browser.calls).toEqual([]);
  expect([other.pointers.size, other.chunks.size]).toEqual([0, 0]);
  expect(await browser.store.listSafes()).toEqual([before]);

  browser.network = home;
  await astray.ask({ kind: 'refresh' });
  await astray.ask({ kind: 'unlockHere', password: goodPassword });
  await astray.until(isOpen);
});

test('an open Safe stops when its address starts to serve another network', async () => {
  const [home, other] = [createNetwork('home'), createNetwork('elsewhere')];
  const browser = createBrowser(home);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.until(openWith((view) => view.published === 'published'));
  browser.network = other;
  await tab.ask({ kind: 'refresh' });
  await tab.until((view): view is typeof view => view.kind === 'otherNetwork');
  const file = new File(['x'], 'x.txt');
  await expect(tab.ask({ kind: 'upload', file })).rejects.toMatchObject({ kind: 'otherNetwork' });
  expect([other.pointers.size, other.chunks.size]).toEqual([0, 0]);
});

test('a Safe whose network is gone can be removed, and the address used for another one', async () => {
  const [home, other] = [createNetwork('home'), createNetwork('elsewhere')];
  const browser = createBrowser(home);
  const first = openTab(browser);
  const words = await newWords(first);
  await first.ask({ kind: 'createSafe', words, password: goodPassword });
  await first.until(openWith((view) => view.published === 'published'));
  browser.network = other;
  // A tab in which the Safe is open, and one just loaded.
  for (const tab of [first, openTab(browser)]) {
    await tab.ask({ kind: 'refresh' });
    await tab.until((view): view is typeof view => view.kind === 'otherNetwork');
  }
  const later = openTab(browser);
  await later.ask({ kind: 'forget', evenUnsaved: true });
  await later.until((view): view is typeof view => view.kind === 'none');
  await first.until((view): view is typeof view => view.kind === 'none');
  await later.ask({ kind: 'createSafe', words: await newWords(later), password: goodPassword });
  await later.until(openWith((view) => view.published === 'published'));
  expect([home.pointers.size > 0, other.pointers.size > 0]).toEqual([true, true]);
});

test('an upload in progress sends nothing to the new network of its address', async () => {
  const [home, other] = [createNetwork('home'), createNetwork('elsewhere')];
  const browser = createBrowser(home);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.until(openWith((view) => view.published === 'published'));
  browser.network = other;
  // No call has requested the network file since: the calls themselves must name the network.
  await tab.ask({ kind: 'upload', file: new File(['some bytes'], 'x.txt') });
  await tab.until((view): view is typeof view => view.kind === 'otherNetwork');
  expect([other.pointers.size, other.chunks.size]).toEqual([0, 0]);
});

test('an inconsistent network file counts as no network', async () => {
  const network = createNetwork('home');
  const browser = createBrowser({ ...network, file: { ...network.file, name: 'other' } });
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.ask({ kind: 'refresh' });
  const view = await tab.until(openWith((view) => view.notice !== ''));
  expect(view.published).toBe('waiting');
  expect(network.pointers.size).toBe(0);
});

test("an answer that is not the worker's is reported once, and never used", async () => {
  const browser = createBrowser(createNetwork('home'));
  browser.controlled = false;
  const tab = openTab(browser);
  const words = await newWords(tab);
  const request = {
    kind: 'unlockWithPhrase',
    words,
    password: goodPassword,
    remember: true,
  } as const;
  await expect(tab.ask(request)).rejects.toMatchObject({ kind: 'offline' });
  await expect(tab.ask(request)).rejects.toMatchObject({ kind: 'offline' });
  expect(tab.posted.filter(({ kind }) => kind === 'uncontrolled')).toHaveLength(1);
});
