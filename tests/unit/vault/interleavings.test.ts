/**
 * Goal: an interruption makes a change happen neither twice, nor elsewhere, nor not at all. Method: the
 * real vault over in-memory ports; the network, the lists and other tabs change during a write.
 */
import { describe, expect, test } from 'vitest';
import type { CallInput } from '#bridge/worker-calls.ts';
import { toHex } from '#core/codec/bytes.ts';
import { createMoney, elders, makeSafe, moneyOf, unit } from './money-world.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  wait,
  failed,
  type Browser,
  type Tab,
} from './world.ts';
import type { WorkerRpc } from '../../../src/vault/network/worker-rpc.ts';

/** Long enough for many rounds of all periodic work. */
const later = (): Promise<void> => wait(400);

const versionTaken = (): Response => failed(409, 'versionTaken', 'Another device was faster.');

/** The Safe of this phrase on a device that must not remember it. */
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
  test('is made once, although the network stored its record and then reported the version as taken', async () => {
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

  test('is not replanned with other coins when another device took its coin meanwhile', async () => {
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

  test('is refused, not shown as sent, when another network is served midway', async () => {
    const network = createNetwork('first');
    const other = createNetwork('another');
    const money = createMoney(network, [100n * unit]);
    const { tab: home, words } = await makeSafe(createBrowser(network), money);
    await home.ask({ kind: 'lock' });
    const browser = createBrowser(network);
    const tab = await guestTab(browser, words, money);
    // One change asks twice: the second answer is another network's.
    let asked = 0;
    Object.defineProperty(browser, 'network', { get: () => (asked++ === 0 ? network : other) });
    const sending = tab.ask({ kind: 'send', address: money.stranger, amount: '60', memo: '' });
    await expect(sending).rejects.toHaveProperty('kind');
    expect(asked).toBeGreaterThan(1);
    await later();
    expect(money.intents.size + other.pointers.size).toBe(0);
  });
});

test('Forget applies to the Safe that was open when it was requested, whatever another tab closes meanwhile', async () => {
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
  test('with a false length does not make the Safe write again and again', async () => {
    const network = createNetwork('long');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit]);
    const honest = money.rpc;
    let pages = 0;
    const lying = async (name: string, input: CallInput<'outputs'>): Promise<unknown> => {
      if (name !== 'outputs' || toHex(input.elder) !== elders[0]) {
        return honest(name as 'outputs', input);
      }
      pages += 1;
      const next = pages % 2 === 0 ? 0 : input.after + 5000;
      return { entries: [], next, more: pages % 16 !== 15 };
    };
    money.rpc = lying as WorkerRpc;
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
    // One position, and that it was published.
    expect(writes).toBeLessThanOrEqual(2);
  });

  test('with a long key history is read past a coin whose key was dropped', async () => {
    const network = createNetwork('pruned');
    const money = createMoney(network, [100n * unit], undefined, 7n);
    const { tab } = await makeSafe(createBrowser(network), money);
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    const old = money.payTo(seed, [3n * unit], 1);
    const certificates = old.certificates.map((each) => ({ ...each, epoch: 2n }));
    // More than one page; only the last line is new.
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
