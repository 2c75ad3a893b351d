/**
 * Goal: nothing is sent that was not written down first, and nothing that was paid to us is missed.
 * Method: the real vault and wallet over memory; stores that fail, tabs side by side, elders that lie.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { workerHeader } from '#bridge/worker.ts';
import { Secret } from '#core/secret.ts';
import { toHex } from '#core/codec/bytes.ts';
import { walletKeys } from '#money/keys.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { decodeBundle, encodePaymentFacts, type PaymentFact } from '#safe/payment/index.ts';
import {
  addCoin,
  addPlaces,
  decodeReceipt,
  decodeWallet,
  dustFromBytes,
  emptyWallet,
  walletBytes,
  type WalletState,
} from '#safe/wallet/index.ts';
import { createIncoming } from '../../../src/vault/wallet/incoming.ts';
import { certificate, oneCoin } from '../wallet/coins.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { createMoney, elders, makeSafe, moneyOf, unit, type MoneyWorld } from './money-world.ts';
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

afterEach(() => vi.restoreAllMocks());

const send = (tab: Tab, money: MoneyWorld, amount: string) =>
  tab.ask({ kind: 'send', address: money.stranger, amount, memo: '' });

/** Long enough for many rounds of everything that repeats. */
const later = (): Promise<void> => wait(400);

/** A second tab of the same Safe, loaded and opened now. */
async function secondTab(browser: Browser, money: MoneyWorld): Promise<Tab> {
  const tab = openTab(browser, money.factory);
  await tab.until((view): view is typeof view => view.kind === 'locked');
  await tab.ask({ kind: 'unlockHere', password: goodPassword });
  await tab.until(isOpen);
  return tab;
}

async function storedWallet(money: MoneyWorld): Promise<WalletState> {
  const bytes = await money.contexts.at(-1)?.update((section) => section);
  const wallet = decodeWallet(bytes ?? new Uint8Array());
  if (!wallet.ok) throw new Error('the wallet cannot be read');
  return wallet.value;
}

describe('a payment', () => {
  test('that could not be written down is said to be so, not shown, and never handed to the worker', async () => {
    const network = createNetwork('full');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit, 100n * unit]);
    const { tab } = await makeSafe(browser, money);
    const put = browser.store.putSafe;
    let full = true;
    Object.assign(browser.store, {
      putSafe: async (record: Parameters<typeof put>[0]) => {
        if (full) throw new DOMException('full', 'QuotaExceededError');
        await put(record);
      },
    });
    await expect(send(tab, money, '5')).rejects.toMatchObject({ kind: 'storageFull' });
    await later();
    expect(money.intents.size).toBe(0);
    expect(moneyOf(tab)).toMatchObject({ balance: '200', sent: [] });
    full = false;
    // The failed one is not carried on with the next change either.
    await send(tab, money, '7');
    await later();
    expect(money.intents.size).toBe(1);
    expect(moneyOf(tab)).toMatchObject({ balance: '100', sent: ['7 preparing'] });
  });

  test('of one tab and a payment of another are planned on what is stored, so they share no coin', async () => {
    const network = createNetwork('tabs');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit, 100n * unit, 90n * unit]);
    const { tab: one } = await makeSafe(browser, money);
    const two = await secondTab(browser, money);
    await send(one, money, '85');
    await expect(send(two, money, '250')).rejects.toMatchObject({ kind: 'notEnoughMoney' });
    await Promise.all([send(one, money, '60'), send(two, money, '70')]);
    await later();
    expect(money.intents.size).toBe(3);
    const spent = [...money.intents.values()].flatMap((bytes) => {
      const bundle = decodeBundle(bytes);
      const decoded = bundle.ok ? decodeTransaction(bundle.value.transaction) : bundle;
      return decoded.ok ? decoded.value.inputs.map(({ keyImage }) => toHex(keyImage)) : [];
    });
    expect(new Set(spent).size).toBe(spent.length);
    expect(spent).toHaveLength(3);
  });

  test('of a Safe that is not to be remembered is sent once the network holds it, and not before', async () => {
    const network = createNetwork('guest');
    const money = createMoney(network, [100n * unit]);
    const { tab: home, words } = await makeSafe(createBrowser(network), money);
    await home.ask({ kind: 'lock' });

    const browser = createBrowser(network);
    const tab = openTab(browser, money.factory);
    await tab.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: false });
    await tab.until(openWith((view) => view.published === 'published'));
    browser.intercept = (call) => {
      if (call !== 'pointer/put') return;
      expect(money.intents.size).toBe(0);
      const refused = { kind: 'busy', message: 'The elders are busy.' };
      throw new Response(JSON.stringify(refused), {
        status: 503,
        headers: { [workerHeader]: 'test' },
      });
    };
    await expect(send(tab, money, '5')).rejects.toMatchObject({ kind: 'offline' });
    await later();
    expect(money.intents.size).toBe(0);
    expect(moneyOf(tab)).toMatchObject({ balance: '100', sent: [] });

    browser.intercept = () => undefined;
    await send(tab, money, '6');
    // The tab is closed at once: whoever opens the Safe next finds the payment.
    await tab.ask({ kind: 'lock' });
    const next = openTab(createBrowser(network), money.factory);
    await next.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: false });
    await next.until(isOpen);
    expect(moneyOf(next)).toMatchObject({ balance: '0', sent: ['6 preparing'] });
  });

  test('of two coins is final with two certificates, never with the one that is there', async () => {
    const network = createNetwork('certs');
    const money = createMoney(network, [100n * unit, 100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    const { paymentId } = await send(tab, money, '150');
    const committed = (index: number): PaymentFact => ({
      kind: 'committed',
      index,
      certificate: certificate(),
    });
    money.facts.set(paymentId, encodePaymentFacts([committed(0)]));
    money.pay = () => ({ state: 'waiting' });
    await later();
    expect(moneyOf(tab)).toMatchObject({ balance: '0', sent: ['150 draft'] });

    money.facts.set(
      paymentId,
      encodePaymentFacts([committed(0), committed(1), { kind: 'registered' }]),
    );
    money.pay = () => ({ state: 'registered' });
    await tab.until(openWith((view) => view.money.balance === '50'));
    await later();
    const wallet = await storedWallet(money);
    const receipt = wallet.payments.get(paymentId)?.receipt ?? new Uint8Array();
    expect(decodeReceipt(network.networkId, receipt).ok).toBe(true);
    expect([...wallet.coins.values()].filter(({ source }) => source !== null)).toHaveLength(1);
    // What the worker kept in plain is gone as soon as the wallet has it.
    expect(money.done).toContain(paymentId);
    expect(money.intents.size + money.facts.size).toBe(0);
  });

  test('whose facts somebody forgot too early is asked for again until the wallet has them', async () => {
    const network = createNetwork('forgot');
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    money.pay = () => ({ state: 'registered' });
    const { paymentId } = await send(tab, money, '10');
    await later();
    expect(moneyOf(tab)).toMatchObject({ balance: '0' });
    const facts: readonly PaymentFact[] = [
      { kind: 'committed', index: 0, certificate: certificate() },
      { kind: 'registered' },
    ];
    money.pay = (id) => {
      expect(money.intents.has(id)).toBe(true);
      money.facts.set(paymentId, encodePaymentFacts(facts));
      return { state: 'registered' };
    };
    await tab.until(openWith((view) => view.money.balance === '90'));
    expect(moneyOf(tab).sent).toEqual(['10 registered']);
  });

  test('frees the coins that a dead payment held, so that the same can be sent again', async () => {
    const network = createNetwork('dead');
    const money = createMoney(network, [100n * unit, 100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    const { paymentId } = await send(tab, money, '150');
    const bundle = decodeBundle(money.intents.get(paymentId) ?? new Uint8Array());
    const decoded = bundle.ok ? decodeTransaction(bundle.value.transaction) : bundle;
    if (!decoded.ok || !bundle.ok) throw new Error('our own payment');
    const keyImage = decoded.value.inputs[0]?.keyImage ?? new Uint8Array();
    const by = {
      txid: new Uint8Array(32).fill(5),
      transaction: bundle.value.transaction,
      keyImage,
      certificate: certificate(),
    };
    money.facts.set(paymentId, encodePaymentFacts([{ kind: 'replaced', by }]));
    money.pay = () => ({ state: 'replaced' });
    await tab.until(openWith((view) => view.money.balance === '100'));
    expect(moneyOf(tab).sent).toEqual(['150 replaced']);
    money.pay = () => ({ state: 'preparing' });
    await send(tab, money, '80');
    expect(moneyOf(tab).sent).toContain('80 preparing');
  });

  test('keeps the address as it is sent to, whatever spaces were typed around it', async () => {
    const network = createNetwork('spaces');
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    const address = `${' '.repeat(300)}${money.stranger}\n`;
    const { paymentId } = await tab.ask({ kind: 'send', address, amount: '1', memo: '' });
    expect((await storedWallet(money)).payments.get(paymentId)?.address).toBe(money.stranger);
  });
});

describe('incoming coins', () => {
  /** A Safe with 100, to which 700 is paid while its device can write nothing down. */
  async function paidWithFullDisk() {
    const network = createNetwork('full disk');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(browser, money);
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    const paid = money.payTo(seed, [700n * unit], 77);
    const { putSafe } = browser.store;
    let refused = 0;
    Object.assign(browser.store, {
      putSafe: async () => {
        refused += 1;
        throw new DOMException('full', 'QuotaExceededError');
      },
    });
    for (const elder of elders) money.list(elder, paid);
    const heal = (): void => void Object.assign(browser.store, { putSafe });
    return { tab, refusals: () => refused, heal };
  }

  test('are found again when they could not be written down at first, in every list', async () => {
    const { tab, refusals, heal } = await paidWithFullDisk();
    // Every list is read to its end meanwhile: each round reads two of the seven.
    await expect.poll(refusals, { timeout: 10_000 }).toBeGreaterThan(elders.length);
    expect(moneyOf(tab).balance).toBe('100');
    heal();
    await tab.until(openWith((view) => view.money.balance === '800'));
  });

  test('that cannot be written down are told of until they are', async () => {
    const { tab, heal } = await paidWithFullDisk();
    await tab.until(openWith(({ money: { notice } }) => notice.includes('could not be written')));
    expect(moneyOf(tab).balance).toBe('100');
    heal();
    await tab.until(
      openWith(({ money: { balance, notice } }) => balance === '800' && notice === ''),
    );
  });

  test('that only a forgotten Safe knew are found again when it is opened anew', async () => {
    const network = createNetwork('places');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit]);
    const { tab, words } = await makeSafe(browser, money);
    browser.intercept = (call) => {
      if (call !== 'pointer/put') return;
      const refused = { kind: 'busy', message: 'The elders are busy.' };
      throw new Response(JSON.stringify(refused), {
        status: 503,
        headers: { [workerHeader]: 'test' },
      });
    };
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    for (const elder of elders) money.list(elder, money.payTo(seed, [7n * unit], 1));
    await tab.until(openWith((view) => view.money.balance === '107'));
    const { lists } = await storedWallet(money);
    expect(Math.max(...[...lists.values()].map(({ after }) => after))).toBe(1);
    await tab.ask({ kind: 'forget', evenUnsaved: true });
    await tab.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: true });
    await tab.until(openWith((view) => view.money.balance === '107'));
  });

  test('whose section’s newest key is not known here yet are read again when it is', async () => {
    const network = createNetwork('ahead');
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    const paid = money.payTo(seed, [7n * unit], 1);
    const ahead = paid.certificates.map((each) => ({ ...each, epoch: 9n }));
    for (const elder of elders) money.list(elder, { ...paid, certificates: ahead });
    await later();
    // The same lists, as they read once their key is known.
    for (const elder of elders) {
      money.lists.get(elder)?.splice(0);
      money.list(elder, paid);
    }
    await tab.until(openWith((view) => view.money.balance === '107'));
  });
});

describe('a wallet that is large', () => {
  const many = Array.from({ length: 120 }, (_, i) =>
    oneCoin(`large ${i}`, { inputs: 8, path: 32 }),
  );
  const large = many.reduce<WalletState>(
    (state, { coin, source }) => addCoin(state, coin, source, 1),
    emptyWallet,
  );

  test('leaves dust in the network and says so, also after a restart; larger coins still come', async () => {
    expect(walletBytes(large)).toBeGreaterThan(dustFromBytes);
    const network = createNetwork('dust');
    const browser = createBrowser(network);
    const money = createMoney(network, [unit], large);
    const { tab } = await makeSafe(browser, money);
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    const before = Number(moneyOf(tab).balance);
    for (const elder of elders) {
      money.list(elder, money.payTo(seed, Array<bigint>(16).fill(1n), 5));
      money.list(elder, money.payTo(seed, [5n * unit], 6));
    }
    await tab.until(openWith((view) => Number(view.money.balance) === before + 5));
    await later();
    expect(Number(moneyOf(tab).balance)).toBe(before + 5);
    expect(moneyOf(tab).notice).toContain('waiting in the network');
    expect(moneyOf(await secondTab(browser, money)).notice).toContain('waiting in the network');
  });

  test('reads a list again from where it left coins, as soon as they fit', async () => {
    const network = createNetwork('room');
    const money = createMoney(network, []);
    const seed = new Uint8Array(32).fill(3);
    const [elder = ''] = elders;
    money.list(elder, money.payTo(seed, [1n], 5));
    const asked: number[] = [];
    const incoming = createIncoming({
      rpc: {
        call: async (path: string, init?: RequestInit) => {
          const body = JSON.parse(String(init?.body)) as { elder: string; after: number };
          if (body.elder === elder) asked.push(body.after);
          return money.call(path, init);
        },
      } as never,
      keys: walletKeys(seed),
      section: money.reader,
      suite: toySuite,
      now: () => 1,
      closed: new AbortController().signal,
    });
    const place = { generation: 0, after: 1, left: { from: 0, largest: 1n } };
    const lists = new Map([[elder, place]]);
    const saved: WalletState[] = [];
    const save = async (found: WalletState): Promise<void> => void saved.push(found);
    // While there is no room it goes on from its place, and what it left stays noted.
    await incoming.look(addPlaces(large, lists), save);
    expect(asked).toEqual([1]);
    expect(saved).toEqual([]);
    for (let round = 0; round < elders.length; round++) {
      await incoming.look(addPlaces(emptyWallet, lists), save);
    }
    expect(asked.slice(1)).toContain(0);
    expect(saved[0]?.coins.size).toBe(1);
    expect(saved[0]?.lists.get(elder)).toEqual({ generation: 1, after: 1, left: null });
  });
});

test('at Forget the worker is asked to forget what it keeps of payments that are over', async () => {
  const network = createNetwork('forget');
  const browser = createBrowser(network);
  const { tab } = await makeSafe(browser, createMoney(network, [unit]));
  expect(browser.calls).not.toContain('pay/done');
  await tab.ask({ kind: 'forget', evenUnsaved: false });
  await expect.poll(() => browser.calls).toContain('pay/done');
});

test('after Lock nothing of the wallet’s keys is left', async () => {
  const network = createNetwork('wiped');
  const money = createMoney(network, [100n * unit]);
  const { tab } = await makeSafe(createBrowser(network), money);
  const seed = (money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array()).slice();
  const keys = walletKeys(seed);
  const wanted = [keys.seed, keys.spendSecret, keys.viewSecret].map((key) => toHex(key.reveal()));
  const wiped: string[] = [];
  const wipe = Secret.prototype.wipe;
  vi.spyOn(Secret.prototype, 'wipe').mockImplementation(function (this: Secret) {
    wiped.push(toHex(this.reveal()));
    wipe.call(this);
  });
  await tab.ask({ kind: 'lock' });
  for (const key of wanted) expect(wiped).toContain(key);
});
