/**
 * Goal: what comes between the steps of a change makes it happen neither twice, nor elsewhere, nor not at all.
 * Method: the real vault over memory; the network, the lists and other tabs move while a change is under way.
 */
import { describe, expect, test } from 'vitest';
import { workerHeader } from '#bridge/worker.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { createMoney, elders, makeSafe, moneyOf, unit } from './money-world.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  wait,
  type Browser,
  type Tab,
} from './world.ts';

/** Long enough for many rounds of everything that repeats. */
const later = (): Promise<void> => wait(400);

const versionTaken = (): Response =>
  new Response(JSON.stringify({ kind: 'versionTaken', message: 'Another device was faster.' }), {
    status: 409,
    headers: { [workerHeader]: 'test' },
  });

/** The Safe of this phrase on a device that is not to remember it. */
async function guestTab(
  browser: Browser,
  words: string,
  money: ReturnType<typeof createMoney>,
): Promise<Tab> {
  const tab = openTab(browser, money.factory);
  await tab.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: false });
  await tab.until(openWith((view) => view.published === 'published'));
  return tab;
}

describe('a payment of a Safe that is not to be remembered', () => {
  test('is made once, though the network kept its record and answered that the version was taken', async () => {
    const network = createNetwork('kept');
    const money = createMoney(network, [100n * unit, 100n * unit]);
    const { tab: home, words } = await makeSafe(createBrowser(network), money);
    await home.ask({ kind: 'lock' });
    const browser = createBrowser(network);
    const tab = await guestTab(browser, words, money);
    let refused = 0;
    browser.settle = (call) => {
      if (call === 'pointer/put' && refused++ === 0) throw versionTaken();
    };
    const { paymentId } = await tab.ask({
      kind: 'send',
      address: money.stranger,
      amount: '60',
      memo: '',
    });
    await later();
    expect(refused).toBeGreaterThan(0);
    expect([...money.intents.keys()]).toEqual([paymentId]);
    expect(moneyOf(tab)).toMatchObject({ balance: '100', sent: ['60 preparing'] });
  });

  test('is not planned anew on other coins when another device took its coin meanwhile', async () => {
    const network = createNetwork('raced');
    const money = createMoney(network, [100n * unit, 100n * unit, 100n * unit]);
    const { tab: home, words } = await makeSafe(createBrowser(network), money);
    const browser = createBrowser(network);
    const tab = await guestTab(browser, words, money);
    let raced = false;
    browser.intercept = async (call) => {
      if (call !== 'pointer/put' || raced) return;
      raced = true;
      await home.ask({ kind: 'send', address: money.stranger, amount: '60', memo: '' });
      await home.ask({ kind: 'send', address: money.stranger, amount: '50', memo: '' });
      await home.ask({ kind: 'refresh' });
    };
    const sending = tab.ask({ kind: 'send', address: money.stranger, amount: '70', memo: '' });
    await expect(sending).rejects.toMatchObject({ kind: 'busy' });
    await later();
    expect(money.intents.size).toBe(2);
  });

  test('is refused, not called sent, when another network is served in the middle of it', async () => {
    const network = createNetwork('first');
    const other = createNetwork('another');
    const money = createMoney(network, [100n * unit]);
    const { tab: home, words } = await makeSafe(createBrowser(network), money);
    await home.ask({ kind: 'lock' });
    const browser = createBrowser(network);
    const tab = await guestTab(browser, words, money);
    // Asked twice by one change: the second answer is another network's.
    let asked = 0;
    Object.defineProperty(browser, 'network', { get: () => (asked++ === 0 ? network : other) });
    const sending = tab.ask({ kind: 'send', address: money.stranger, amount: '60', memo: '' });
    await expect(sending).rejects.toHaveProperty('kind');
    expect(asked).toBeGreaterThan(1);
    await later();
    expect(money.intents.size + other.pointers.size).toBe(0);
  });
});

test('Forget means the Safe that was open when it was asked, whatever another tab closes meanwhile', async () => {
  const network = createNetwork('two');
  const browser = createBrowser(network);
  const make = async (tab: Tab): Promise<void> => {
    const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
    await tab.ask({ kind: 'createSafe', words, password: goodPassword });
    await tab.until(openWith((view) => view.published === 'published'));
  };
  const first = openTab(browser);
  await make(first);
  const [kept] = await browser.store.listSafes();
  const second = openTab(browser);
  await make(second);
  const gone = (await browser.store.listSafes()).find(({ id }) => id !== kept?.id);
  // While it waits for the exchange, another tab forgets the same Safe.
  let raced = false;
  browser.intercept = async (call) => {
    if (call !== 'pointer/get' || raced) return;
    raced = true;
    await browser.store.deleteSafe(gone?.id ?? '');
    await second.vault.storeChanged(gone?.owner ?? '').catch(() => undefined);
  };
  await first.ask({ kind: 'lock' });
  await second.ask({ kind: 'forget', evenUnsaved: false }).catch(() => undefined);
  expect(raced).toBe(true);
  expect((await browser.store.listSafes()).map(({ id }) => id)).toEqual([kept?.id]);
});

describe('the list of one elder', () => {
  test('that lies about its length does not make the Safe write again and again', async () => {
    const network = createNetwork('long');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit]);
    const honest = money.call;
    let pages = 0;
    Object.assign(money, {
      call: async (path: string, init?: RequestInit) => {
        const asked = JSON.parse(String(init?.body ?? '{}')) as { elder: string; after: number };
        if (path !== 'outputs' || asked.elder !== elders[0]) return honest(path, init);
        pages += 1;
        const next = pages % 2 === 0 ? 0 : asked.after + 5000;
        const page = encodeCbor({ entries: [], next, more: pages % 16 !== 15 });
        return new Response(page as Uint8Array<ArrayBuffer>);
      },
    });
    const { tab } = await makeSafe(browser, money);
    await tab.until(isOpen);
    let writes = 0;
    const put = browser.store.putSafe;
    Object.assign(browser.store, {
      putSafe: async (record: Parameters<typeof put>[0]) => {
        writes += 1;
        await put(record);
      },
    });
    await expect.poll(() => pages, { timeout: 10_000 }).toBeGreaterThan(100);
    // One place, and that it was published.
    expect(writes).toBeLessThanOrEqual(2);
  });

  test('that ends a long history of keys is read on past a coin whose key nobody remembers', async () => {
    const network = createNetwork('pruned');
    const money = createMoney(network, [100n * unit], undefined, 7n);
    const { tab } = await makeSafe(createBrowser(network), money);
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    const old = money.payTo(seed, [3n * unit], 1);
    const certificates = old.certificates.map((each) => ({ ...each, epoch: 2n }));
    // More than one page, of which only the last line is new.
    const many = money.payTo(seed, Array<bigint>(16).fill(unit), 2);
    const last = money.payTo(seed, [7n * unit], 3);
    for (const elder of elders) {
      money.list(elder, { ...old, certificates });
      for (let times = 0; times < 4; times++) money.list(elder, many);
      money.list(elder, last);
    }
    await tab.until(openWith((view) => view.money.balance === '123'));
  });
});
