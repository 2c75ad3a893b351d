/** Goal: one stored record, read on use: everything shown as done is visible in every tab. */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { decodePointer, encodePointer, pointerAddress, signPointer } from '#data/pointer-record.ts';
import { StrongKey } from '#safe/credentials/derive-root-keys.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  patterned,
  wait,
  type Browser,
  type Tab,
  failed,
} from './world.ts';

const password = goodPassword;
const fileOf = (name: string, size = 1000): File => new File([patterned(size)], name);
const isLocked = (view: ReturnType<Tab['view']>): view is typeof view => view.kind === 'locked';

async function openedSafe(names: readonly string[] = [], network = createNetwork('home')) {
  const browser = createBrowser(network);
  const tab = openTab(browser);
  const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
  await tab.ask({ kind: 'createSafe', words, password });
  for (const name of names) await tab.ask({ kind: 'upload', file: fileOf(name) });
  await tab.until(listed(names.length, 'published'));
  return { network, browser, tab, words };
}

const listed = (files: number, published?: 'published' | 'waiting') =>
  openWith(
    (view) =>
      view.files.length === files &&
      view.transfers.length === 0 &&
      (published === undefined || view.published === published),
  );
const namesIn = (tab: Tab): readonly string[] => {
  const view = tab.view();
  return isOpen(view) ? view.files.map(({ name }) => name).sort() : [];
};
const idOf = (tab: Tab, name: string): string => {
  const view = tab.view();
  return (isOpen(view) ? view.files.find((file) => file.name === name)?.id : undefined) ?? '';
};
const recordOf = async (browser: Browser) => {
  const [record] = await browser.store.listSafes();
  if (record === undefined) throw new Error('no record');
  return record;
};

/** Pieces are stored, pointer records are refused: the list stays on this device. */
function refusePointers(browser: Browser): void {
  browser.intercept = (call) => {
    if (!call.startsWith('pointer')) return;
    throw failed(503, 'busy', 'It could not be saved yet.');
  };
}

const full = (): Promise<never> => Promise.reject(new DOMException('full', 'QuotaExceededError'));

async function unlocked(browser: Browser, tab = openTab(browser)): Promise<Tab> {
  await tab.until(isLocked);
  await tab.ask({ kind: 'unlockHere', password });
  await tab.until(isOpen);
  return tab;
}

test('listed files are there after Lock and unlock in the same tab, published or not', async () => {
  const { browser, tab } = await openedSafe(['published.txt']);
  refusePointers(browser);
  await tab.ask({ kind: 'upload', file: fileOf('only here.txt') });
  await tab.until(listed(2, 'waiting'));
  await tab.ask({ kind: 'lock' });
  await unlocked(browser, tab);
  expect(namesIn(tab)).toEqual(['only here.txt', 'published.txt']);
  browser.intercept = () => undefined;
  await tab.ask({ kind: 'refresh' });
  await tab.until(listed(2, 'published'));
  const other = await unlocked(browser);
  expect(namesIn(other)).toEqual(['only here.txt', 'published.txt']);
});

test('Lock right after a file was listed loses neither the file, the version nor the network', async () => {
  const { browser, tab } = await openedSafe();
  await tab.ask({ kind: 'upload', file: fileOf('letter') });
  await tab.until(listed(1));
  await tab.ask({ kind: 'lock' });
  const before = await recordOf(browser);
  await unlocked(browser, tab);
  expect(namesIn(tab)).toEqual(['letter']);
  const after = await recordOf(browser);
  expect(after.network).toEqual(before.network);
  expect(after.network).not.toBeNull();
  expect(BigInt(after.version)).toBeGreaterThanOrEqual(BigInt(before.version));
});

test('a tab loaded earlier opens the record as stored now', async () => {
  const { browser, tab } = await openedSafe();
  const second = openTab(browser);
  await second.until(isLocked);
  refusePointers(browser);
  await tab.ask({ kind: 'upload', file: fileOf('one.txt') });
  await tab.until(listed(1));
  await tab.ask({ kind: 'lock' });
  await unlocked(browser, second);
  expect(namesIn(second)).toEqual(['one.txt']);
});

test('an open tab shows changes stored by another one, offline', async () => {
  const { browser, tab } = await openedSafe(['a']);
  const second = await unlocked(browser);
  browser.online = false;
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  await second.until(listed(0, 'waiting'));
});

test('unlocking writes only the time, and continues when even that fails', async () => {
  const { browser, tab } = await openedSafe(['a']);
  await tab.ask({ kind: 'lock' });
  const before = await recordOf(browser);
  browser.online = false;
  await wait(50);
  await unlocked(browser, tab);
  const after = await recordOf(browser);
  expect(after.usedAt).toBeGreaterThan(before.usedAt);
  expect({ ...after, usedAt: 0 }).toEqual({ ...before, usedAt: 0 });
  await tab.ask({ kind: 'lock' });
  Object.assign(browser.store, { putSafe: full });
  await unlocked(browser, tab);
  expect(namesIn(tab)).toEqual(['a']);
});

test('a change that cannot be stored is refused with a sentence and shown nowhere', async () => {
  const { browser, tab } = await openedSafe(['a']);
  const { putSafe } = browser.store;
  Object.assign(browser.store, { putSafe: full });
  const removing = tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  await expect(removing).rejects.toMatchObject({ kind: 'storageFull' });
  await tab.ask({ kind: 'refresh' });
  expect(namesIn(tab)).toEqual(['a']);
  Object.assign(browser.store, { putSafe });
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  await tab.until(listed(0, 'published'));
});

test('an unreadable record is left unchanged, and nothing is published in its place', async () => {
  const { network, browser, tab } = await openedSafe(['a']);
  const record = await recordOf(browser);
  // A tab of a newer app has written a layout unknown to this one.
  const newer = { ...record, envelope: Uint8Array.from([2, ...record.envelope.slice(1)]) };
  await browser.store.putSafe(newer);
  const pointers = [...network.pointers.values()];
  const removing = tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  await expect(removing).rejects.toMatchObject({
    message: expect.stringContaining('newer') as string,
  });
  await tab.ask({ kind: 'refresh' });
  expect(namesIn(tab)).toEqual(['a']);
  expect(await recordOf(browser)).toEqual(newer);
  expect([...network.pointers.values()]).toEqual(pointers);
  const fresh = openTab(browser);
  await fresh.until(isLocked);
  await expect(fresh.ask({ kind: 'unlockHere', password })).rejects.toMatchObject({
    message: expect.stringContaining('newer') as string,
  });
  expect(await recordOf(browser)).toEqual(newer);
});

test('the version in the record never decreases, whatever a second tab has seen', async () => {
  const { browser, tab } = await openedSafe(['a']);
  await tab.ask({ kind: 'refresh' });
  const record = await recordOf(browser);
  await browser.store.putSafe({ ...record, version: '500' });
  browser.online = false;
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  expect((await recordOf(browser)).version).toBe('500');
});

test('an old record returned repeatedly is overwritten once', async () => {
  const { network, browser, tab } = await openedSafe(['a']);
  const old = new Map(network.pointers);
  await tab.ask({ kind: 'upload', file: fileOf('b') });
  await tab.until(listed(2, 'published'));
  let puts = 0;
  browser.intercept = (call) => {
    if (call === 'pointer/get') for (const [at, bytes] of old) network.pointers.set(at, bytes);
    if (call === 'pointer/put') puts += 1;
  };
  for (let i = 0; i < 4; i++) await tab.ask({ kind: 'refresh' });
  expect(puts).toBe(1);
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  await tab.until(listed(1, 'published'));
  expect(puts).toBe(2);
});

test('forgetting a Safe closes it in every tab, and no tab writes it again', async () => {
  const { browser, tab } = await openedSafe(['a']);
  const second = await unlocked(browser);
  const fileId = idOf(second, 'a');
  await tab.ask({ kind: 'forget', evenUnsaved: false });
  await second.until((view): view is typeof view => view.kind === 'none');
  await expect(second.ask({ kind: 'removeFile', fileId })).rejects.toMatchObject({
    kind: 'locked',
  });
  expect(await browser.store.listSafes()).toEqual([]);
});

test('data that is only on this device is not forgotten without a warning, whichever tab added it', async () => {
  const { browser, tab } = await openedSafe(['a']);
  const second = await unlocked(browser);
  refusePointers(browser);
  await second.ask({ kind: 'upload', file: fileOf('b') });
  await second.until(listed(2, 'waiting'));
  const forgetting = tab.ask({ kind: 'forget', evenUnsaved: false });
  await expect(forgetting).rejects.toMatchObject({ kind: 'busy' });
  expect(namesIn(tab)).toEqual(['a', 'b']);
  // The page sees that changes are pending: its dialog warns now.
  expect(tab.view()).toMatchObject({ published: 'waiting' });
  await tab.ask({ kind: 'forget', evenUnsaved: true });
  expect(await browser.store.listSafes()).toEqual([]);
});

test('Forget saves unsaved changes all the same when the network answers', async () => {
  const { network, browser, tab, words } = await openedSafe(['a']);
  await tab.ask({ kind: 'upload', file: fileOf('b') });
  await tab.until(listed(2));
  await tab.ask({ kind: 'forget', evenUnsaved: true });
  const other = openTab(createBrowser(network));
  await other.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: true });
  await other.until(listed(2));
  expect(namesIn(other)).toEqual(['a', 'b']);
  expect(await browser.store.listSafes()).toEqual([]);
});

test('a lost chunk of this device’s list is written again', async () => {
  const names = Array.from({ length: 70 }, (_, i) => `${i} ${'n'.repeat(900)}`);
  const { network, browser, tab, words } = await openedSafe(names);
  const before = new Set(network.chunks.keys());
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, names[0] ?? '') });
  await tab.until(listed(69, 'published'));
  for (const name of network.chunks.keys()) if (!before.has(name)) network.chunks.delete(name);
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, names[1] ?? '') });
  await tab.until(listed(68, 'published'));

  // Lost while nothing changes: the next unlocking detects it, so that other devices find it again.
  await tab.ask({ kind: 'lock' });
  for (const name of network.chunks.keys()) if (!before.has(name)) network.chunks.delete(name);
  await unlocked(browser, tab);
  await tab.ask({ kind: 'refresh' });
  const laptop = openTab(createBrowser(network));
  await laptop.ask({ kind: 'unlockWithPhrase', words, password, remember: true });
  await laptop.until(listed(68));
});

test('another device’s missing list is never overwritten', async () => {
  const names = Array.from({ length: 70 }, (_, i) => `${i} ${'n'.repeat(900)}`);
  const { network, browser, tab, words } = await openedSafe(names);
  const laptop = openTab(createBrowser(network));
  await laptop.ask({ kind: 'unlockWithPhrase', words, password, remember: true });
  browser.online = false;
  const before = new Set(network.chunks.keys());
  await laptop.ask({ kind: 'removeFile', fileId: idOf(laptop, names[0] ?? '') });
  await laptop.until(listed(69, 'published'));
  const away = [...network.chunks].filter(([name]) => !before.has(name));
  for (const [name] of away) network.chunks.delete(name);
  const pointers = [...network.pointers.values()];
  browser.online = true;
  await tab.ask({ kind: 'refresh' });
  await tab.until(openWith((view) => view.notice !== ''));
  expect([...network.pointers.values()]).toEqual(pointers);
  for (const [name, chunk] of away) network.chunks.set(name, chunk);
  await tab.ask({ kind: 'refresh' });
  await tab.until(listed(69, 'published'));
});

test('an attacker with the phrase cannot use up the versions unnoticed, and nothing here is lost', async () => {
  const { network, browser, tab, words } = await openedSafe(['a']);
  const strong = StrongKey.fromPhrase(words);
  if (!strong.ok) throw new Error('the phrase is one');
  const address = toHex(pointerAddress(network.networkId, strong.value.owner));
  const kept = decodePointer(network.pointers.get(address) ?? new Uint8Array());
  if (!kept.ok) throw new Error('there is a record');
  const last = strong.value.withOwnerSeed((seed) =>
    signPointer(network.networkId, seed, 2n ** 64n - 1n, kept.value.ciphertext),
  );
  network.pointers.set(address, encodePointer(last));
  await tab.ask({ kind: 'removeFile', fileId: idOf(tab, 'a') });
  const view = await tab.until(openWith(({ notice }) => notice !== ''));
  expect(view.notice).toContain('phrase');
  expect(view.published).toBe('waiting');
  await tab.ask({ kind: 'lock' });
  await unlocked(browser, tab);
  expect(namesIn(tab)).toEqual([]);
});

test('two tabs that concurrently make the same Safe end up with one record', async () => {
  const browser = createBrowser(createNetwork('home'));
  const [one, two] = [openTab(browser), openTab(browser)];
  const words = (await one.ask({ kind: 'newPhrase' })).words.join(' ');
  await Promise.allSettled([
    one.ask({ kind: 'createSafe', words, password }),
    two.ask({ kind: 'createSafe', words, password }),
  ]);
  expect(await browser.store.listSafes()).toHaveLength(1);
});

test('in a Safe that this device must not remember a file is listed once the network lists it', async () => {
  const { network, words } = await openedSafe(['a']);
  const guest = createBrowser(network);
  const tab = openTab(guest);
  await tab.ask({ kind: 'unlockWithPhrase', words, password, remember: false });
  refusePointers(guest);
  await tab.ask({ kind: 'upload', file: fileOf('b') });
  await tab.until(openWith(({ transfers }) => transfers[0]?.state === 'waiting'));
  expect(namesIn(tab)).toEqual(['a']);
  const fileId = idOf(tab, 'a');
  await expect(tab.ask({ kind: 'removeFile', fileId })).rejects.toBeDefined();
  expect(namesIn(tab)).toEqual(['a']);
  guest.intercept = () => undefined;
  await tab.until(listed(2));
  // Closed immediately: listed files are on the network.
  await tab.ask({ kind: 'lock' });
  const other = openTab(createBrowser(network));
  await other.ask({ kind: 'unlockWithPhrase', words, password, remember: false });
  expect(namesIn(other)).toEqual(['a', 'b']);
});
