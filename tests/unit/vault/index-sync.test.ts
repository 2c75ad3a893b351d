/** Goal: changes of two devices to one Safe, concurrent or separate, give the same result on both. */
import { expect, test } from 'vitest';
import { decodePointer } from '#data/pointer-record.ts';
import type { WalletFactory } from '../../../src/vault/ports.ts';
import { fakeWallets } from './fake-wallets.ts';
import {
  bytesOfText,
  createBrowser,
  createNetwork,
  goodPassword,
  openTab,
  openWith,
  textOf,
  type Tab,
} from './world.ts';

async function twoDevices(wallets: WalletFactory | null = null) {
  const network = createNetwork('home');
  const [phone, laptop] = [createBrowser(network), createBrowser(network)];
  const onPhone = openTab(phone, wallets);
  const words = (await onPhone.ask({ kind: 'newPhrase' })).words.join(' ');
  await onPhone.ask({ kind: 'createSafe', words, password: goodPassword });
  await onPhone.until(openWith((view) => view.published === 'published'));
  const onLaptop = openTab(laptop, wallets);
  const request = {
    kind: 'unlockWithPhrase',
    words,
    password: goodPassword,
    remember: true,
  } as const;
  await onLaptop.ask(request);
  await onLaptop.until(openWith((view) => view.published === 'published'));
  return { network, phone, laptop, onPhone, onLaptop, words };
}

const add = (tab: Tab, name: string) =>
  tab.ask({ kind: 'upload', file: new File([`content of ${name}`], name) });
const has = (...names: readonly string[]) =>
  openWith(
    (view) =>
      view.published === 'published' &&
      names.every((name) => view.files.some((file) => file.name === name)),
  );
const versionOf = (pointers: ReadonlyMap<string, Uint8Array>): bigint => {
  const [bytes] = [...pointers.values()];
  const record = bytes === undefined ? null : decodePointer(bytes);
  return record?.ok === true ? record.value.version : -1n;
};

test('a file added on one device is on the other after a refresh', async () => {
  const { onPhone, onLaptop } = await twoDevices();
  await add(onPhone, 'letter.txt');
  await onPhone.until(has('letter.txt'));
  await onLaptop.ask({ kind: 'refresh' });
  const view = await onLaptop.until(has('letter.txt'));
  expect(view.files[0]).toMatchObject({ name: 'letter.txt', size: 21 });
});

test('two devices that write concurrently keep both changes', async () => {
  const { phone, onPhone, onLaptop, laptop } = await twoDevices();
  // Both read the same version before either writes.
  let waiting = 0;
  let go: () => void = () => undefined;
  const both = new Promise<void>((done) => (go = done));
  const hold = async (call: string): Promise<void> => {
    if (call !== 'pointer/put') return;
    if (++waiting === 2) go();
    await both;
  };
  phone.intercept = hold;
  laptop.intercept = hold;
  await Promise.all([add(onPhone, 'from phone'), add(onLaptop, 'from laptop')]);
  await onPhone.until(openWith((view) => view.files.length >= 1 && view.published === 'published'));
  await onLaptop.until(
    openWith((view) => view.files.length >= 1 && view.published === 'published'),
  );
  await onPhone.ask({ kind: 'refresh' });
  await onLaptop.ask({ kind: 'refresh' });
  await onPhone.until(has('from phone', 'from laptop'));
  await onLaptop.until(has('from phone', 'from laptop'));
});

test('a removal made offline and a file added elsewhere both survive', async () => {
  const { phone, onPhone, onLaptop } = await twoDevices();
  await add(onPhone, 'old');
  const { files } = await onPhone.until(has('old'));
  await onLaptop.ask({ kind: 'refresh' });
  phone.online = false;
  await onPhone.ask({ kind: 'removeFile', fileId: files[0]?.id ?? '' });
  const offline = await onPhone.until(openWith((view) => view.files.length === 0));
  expect(offline.published).toBe('waiting');
  await add(onLaptop, 'new');
  await onLaptop.until(has('new'));
  phone.online = true;
  await onPhone.ask({ kind: 'refresh' });
  const view = await onPhone.until(has('new'));
  expect(view.removedFiles.map(({ name }) => name)).toEqual(['old']);
  await onLaptop.ask({ kind: 'refresh' });
  await onLaptop.until(openWith((v) => v.removedFiles.length === 1));
  await onLaptop.ask({ kind: 'restoreFile', fileId: files[0]?.id ?? '' });
  await onLaptop.until(has('old', 'new'));
  await onPhone.ask({ kind: 'refresh' });
  await onPhone.until(has('old', 'new'));
});

test('a change is stored on the device before it is sent', async () => {
  const { phone, onPhone } = await twoDevices();
  await add(onPhone, 'kept');
  const { files } = await onPhone.until(has('kept'));
  phone.online = false;
  await onPhone.ask({ kind: 'removeFile', fileId: files[0]?.id ?? '' });
  // The tab is closed here.
  const again = openTab(phone);
  await again.ask({ kind: 'unlockHere', password: goodPassword });
  const view = await again.until(openWith((v) => v.removedFiles.length === 1));
  expect(view.published).toBe('waiting');
  phone.online = true;
  await again.ask({ kind: 'refresh' });
  await again.until(openWith((v) => v.published === 'published'));
});

test('two tabs of one browser do not overwrite each other', async () => {
  const { phone, onPhone } = await twoDevices();
  const second = openTab(phone);
  await second.ask({ kind: 'unlockHere', password: goodPassword });
  await Promise.all([add(onPhone, 'a'), add(second, 'b')]);
  await onPhone.until(openWith((view) => view.files.length >= 1 && view.transfers.length === 0));
  await second.until(openWith((view) => view.files.length >= 1 && view.transfers.length === 0));
  await onPhone.ask({ kind: 'refresh' });
  await second.ask({ kind: 'refresh' });
  await onPhone.until(has('a', 'b'));
  await second.until(has('a', 'b'));
});

test('two offline tabs keep both changes on the device', async () => {
  const { phone, onPhone } = await twoDevices();
  await add(onPhone, 'a');
  await add(onPhone, 'b');
  const { files } = await onPhone.until(has('a', 'b'));
  const second = openTab(phone);
  await second.ask({ kind: 'unlockHere', password: goodPassword });
  phone.online = false;
  await onPhone.ask({ kind: 'removeFile', fileId: files[0]?.id ?? '' });
  await second.ask({ kind: 'removeFile', fileId: files[1]?.id ?? '' });
  const third = openTab(phone);
  await third.ask({ kind: 'unlockHere', password: goodPassword });
  const view = await third.until(openWith((v) => v.removedFiles.length > 0));
  expect(view.removedFiles.map(({ name }) => name).sort()).toEqual(['a', 'b']);
});

test('an idle Safe writes nothing', async () => {
  const { network, onPhone, onLaptop } = await twoDevices();
  const before = versionOf(network.pointers);
  for (let i = 0; i < 3; i++) {
    await onPhone.ask({ kind: 'refresh' });
    await onLaptop.ask({ kind: 'refresh' });
  }
  expect(versionOf(network.pointers)).toBe(before);
});

test('an older record than the one seen is overwritten, never restored', async () => {
  const { network, onPhone } = await twoDevices();
  const old = new Map(network.pointers);
  await add(onPhone, 'later');
  await onPhone.until(has('later'));
  const seen = versionOf(network.pointers);
  for (const [address, record] of old) network.pointers.set(address, record);
  await onPhone.ask({ kind: 'refresh' });
  await onPhone.until(has('later'));
  expect(versionOf(network.pointers)).toBe(seen + 1n);
});

test('an index too large for the record is stored in chunks and read from there', async () => {
  const wallets = fakeWallets();
  const { network, onPhone, onLaptop } = await twoDevices(wallets.factory);
  const large = 'x'.repeat(1_500_000);
  await wallets.contexts[0]?.update(() => bytesOfText(large));
  await onPhone.ask({ kind: 'refresh' });
  await onPhone.until(openWith((view) => view.published === 'published'));
  expect(network.chunks.size).toBe(2);
  for (const record of network.pointers.values()) expect(record.length).toBeLessThan(60 * 1024);
  await onLaptop.ask({ kind: 'refresh' });
  expect(wallets.absorbed.at(-1)).toBe(large);
});

test('a money part that could not be read again is refused, and the Safe still opens', async () => {
  const wallets = fakeWallets();
  const { network, phone, words } = await twoDevices(wallets.factory);
  const tooMuch = new Uint8Array(17 * 1024 * 1024).fill(120);
  const before = await phone.store.listSafes();
  const saving = wallets.contexts[0]?.update(() => tooMuch);
  await expect(saving).rejects.toMatchObject({ kind: 'storageFull' });
  expect((await phone.store.listSafes())[0]?.envelope).toEqual(before[0]?.envelope);
  const password = goodPassword;
  const again = openTab(phone, wallets.factory);
  await again.ask({ kind: 'unlockHere', password });
  // A Safe stored only on the network refuses it, too.
  const guest = openTab(createBrowser(network), wallets.factory);
  await guest.ask({ kind: 'unlockWithPhrase', words, password, remember: false });
  const there = wallets.contexts.at(-1)?.update(() => tooMuch);
  await expect(there).rejects.toMatchObject({ kind: 'storageFull' });
  await again.ask({ kind: 'refresh' });
  expect(again.view()).toMatchObject({ notice: '', published: 'published' });
});

test("the wallet's section is stored with the index and merges by its own rules", async () => {
  const wallets = fakeWallets();
  const { phone, onPhone, onLaptop } = await twoDevices(wallets.factory);
  const [phoneWallet, laptopWallet] = wallets.contexts;
  phone.online = false;
  await phoneWallet?.update(() => bytesOfText('a'));
  // The wallet does not get its own saved section again.
  expect(wallets.absorbed).toEqual([]);
  await laptopWallet?.update(() => bytesOfText('b'));
  await onLaptop.ask({ kind: 'refresh' });
  await onLaptop.until(openWith((view) => view.published === 'published'));
  phone.online = true;
  await onPhone.ask({ kind: 'refresh' });
  expect(wallets.absorbed.at(-1)).toBe('a,b');
  await onLaptop.ask({ kind: 'refresh' });
  expect(wallets.absorbed.filter((section) => section === 'a,b')).toHaveLength(2);
  expect(onPhone.view()).toMatchObject({ money: { balance: '2' } });
});

test('a Safe that this device must not remember shows a change once the network has stored it', async () => {
  const wallets = fakeWallets();
  const { network, words } = await twoDevices();
  const guest = createBrowser(network);
  const tab = openTab(guest, wallets.factory);
  const password = goodPassword;
  await tab.ask({ kind: 'unlockWithPhrase', words, password, remember: false });
  const [wallet] = wallets.contexts;
  guest.online = false;
  await expect(wallet?.update(() => bytesOfText('a'))).rejects.toMatchObject({ kind: 'offline' });
  guest.online = true;
  const before = versionOf(network.pointers);
  expect(textOf((await wallet?.update(() => bytesOfText('b'))) ?? bytesOfText(''))).toBe('b');
  expect(versionOf(network.pointers)).toBe(before + 1n);
  // The tab is closed immediately: the next one finds the change, and nothing of the refused one.
  const next = openTab(createBrowser(network), wallets.factory);
  await next.ask({ kind: 'unlockWithPhrase', words, password, remember: false });
  expect(textOf(wallets.contexts[1]?.section ?? bytesOfText(''))).toBe('b');
});

test('money requests are refused with a sentence in a build without a wallet', async () => {
  const { onPhone } = await twoDevices();
  await expect(onPhone.ask({ kind: 'askFaucet' })).rejects.toMatchObject({ kind: 'internal' });
});

test('the page is notified at most five times a second during an upload', async () => {
  const { onPhone } = await twoDevices();
  onPhone.posted.length = 0;
  const started = Date.now();
  await onPhone.ask({ kind: 'upload', file: new File([new Uint8Array(12 << 20)], 'big') });
  await onPhone.until(has('big'));
  // Waits run 50 times faster here, so five per second are 250.
  expect(onPhone.posted.length).toBeLessThanOrEqual((Date.now() - started) / 4 + 2);
});
