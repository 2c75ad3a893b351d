/**
 * Goal: a money part that this version of the app cannot read does not block the files, and is neither
 * overwritten nor shown as an empty wallet. Method: the real vault; the stored money part is replaced by
 * bytes that no version has written yet.
 */
import { expect, test } from 'vitest';
import type { WalletFactory } from '../../../src/vault/ports.ts';
import { createMoney, makeSafe, moneyOf, unit, type MoneyWorld } from './money-world.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  openTab,
  openWith,
  type Browser,
  type Tab,
} from './world.ts';

const fileOf = (name: string): File => new File([name], name);
const isLocked = (view: ReturnType<Tab['view']>): view is typeof view => view.kind === 'locked';
const newer = new Uint8Array([99, 1, 2, 3]);

/** A newer app's money part: this version's wallet cannot use it. */
async function writeNewer(browser: Browser): Promise<{ tab: Tab; words: string }> {
  const factory: WalletFactory = {
    merge: (a, b) => (a.length >= b.length ? a : b),
    open: async (context) => {
      await context.update(() => newer);
      return {
        view: () => ({
          balance: '7',
          readable: true,
          address: '',
          addressWords: '',
          payments: [],
          faucet: false,
          notice: '',
        }),
        ask: async () => null as never,
        absorb: () => undefined,
        refresh: async () => undefined,
      };
    },
  };
  const tab = openTab(browser, factory);
  const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.ask({ kind: 'upload', file: fileOf('letter') });
  await tab.until(openWith((view) => view.published === 'published' && view.files.length === 1));
  await tab.ask({ kind: 'lock' });
  return { tab, words };
}

async function openHere(browser: Browser, money: MoneyWorld): Promise<Tab> {
  const tab = openTab(browser, money.factory);
  await tab.until(isLocked);
  await tab.ask({ kind: 'unlockHere', password: goodPassword });
  return tab;
}

test('files next to an unreadable money part are opened, added and saved', async () => {
  const network = createNetwork('newer');
  const browser = createBrowser(network);
  await writeNewer(browser);
  const tab = await openHere(browser, createMoney(network, []));
  await tab.ask({ kind: 'upload', file: fileOf('second') });
  await tab.until(openWith((view) => view.files.length === 2 && view.published === 'published'));
});

test('unreadable money is reported, not shown as zero', async () => {
  const network = createNetwork('newer');
  const browser = createBrowser(network);
  await writeNewer(browser);
  const money = createMoney(network, []);
  const tab = await openHere(browser, money);
  expect(moneyOf(tab).notice).toContain('cannot be read by this version');
  expect(moneyOf(tab).balance).not.toMatch(/\d/);
  const requests = [
    { kind: 'send', address: money.stranger, amount: '1', memo: '' },
    { kind: 'redeem', text: 'safereceipt1' },
    { kind: 'receiptText', paymentId: '00' },
    { kind: 'askFaucet' },
  ] as const;
  for (const request of requests) {
    await expect(tab.ask(request)).rejects.toMatchObject({
      message: expect.stringContaining('cannot be read by this version') as string,
    });
  }
});

test('unreadable money is kept unchanged, on this device and for a new one', async () => {
  const network = createNetwork('newer');
  const browser = createBrowser(network);
  const { words } = await writeNewer(browser);
  const tab = await openHere(browser, createMoney(network, [unit]));
  await tab.ask({ kind: 'upload', file: fileOf('second') });
  await tab.until(openWith((view) => view.files.length === 2 && view.published === 'published'));
  const sections: Uint8Array[] = [];
  const looking: WalletFactory = {
    merge: (a) => a,
    open: async (context) => {
      sections.push(context.section);
      throw new Error('it has seen enough');
    },
  };
  const other = openTab(createBrowser(network), looking);
  const request = {
    kind: 'unlockWithPhrase',
    words,
    password: goodPassword,
    remember: true,
  } as const;
  await other.ask(request).catch(() => undefined);
  const here = openTab(browser, looking);
  await here.until(isLocked);
  await here.ask({ kind: 'unlockHere', password: goodPassword }).catch(() => undefined);
  expect(sections).toEqual([newer, newer]);
});

/** Another device, with a newer version of the app, writes the money part. */
async function writeNewerElsewhere(
  network: ReturnType<typeof createNetwork>,
  words: string,
  merge: WalletFactory['merge'],
): Promise<void> {
  const factory: WalletFactory = {
    merge,
    open: async (context) => {
      await context.update(() => newer);
      throw new Error('it has written enough');
    },
  };
  await openTab(createBrowser(network), factory)
    .ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: false })
    .catch(() => undefined);
}

test("another device's unreadable money part is not overwritten", async () => {
  const network = createNetwork('newer');
  const old = createBrowser(network);
  const { tab, words } = await makeSafe(old, createMoney(network, [unit]));
  await writeNewerElsewhere(network, words, () => newer);
  const stored = network.pointers;
  const before = [...stored.values()].map((bytes) => [...bytes]);
  await tab.ask({ kind: 'upload', file: fileOf('third') });
  await tab.until(openWith((view) => view.notice.includes('cannot be read by this version')));
  expect([...stored.values()].map((bytes) => [...bytes])).toEqual(before);
  await tab.until(openWith((view) => view.files.length === 1 && view.money.balance === '1'));
});

test('an open Safe without money accepts another device’s unreadable money part', async () => {
  const network = createNetwork('newer');
  const old = createBrowser(network);
  const { tab, words } = await makeSafe(old, createMoney(network, []));
  await tab.until(openWith((view) => view.published === 'published'));
  await writeNewerElsewhere(network, words, (a, b) => (a.length >= b.length ? a : b));
  await tab.ask({ kind: 'upload', file: fileOf('letter') });
  await tab.ask({ kind: 'refresh' });
  await tab.until(
    openWith(
      (view) => !view.money.readable && view.files.length === 1 && view.published === 'published',
    ),
  );
  expect(moneyOf(tab).balance).not.toMatch(/\d/);
  await expect(tab.ask({ kind: 'askFaucet' })).rejects.toMatchObject({
    message: expect.stringContaining('cannot be read by this version') as string,
  });
  expect(tab.view()).toMatchObject({ files: [{ name: 'letter' }] });
});
