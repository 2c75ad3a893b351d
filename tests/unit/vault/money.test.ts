/**
 * Goal: nothing is sent before it is stored, and no incoming payment is missed. Method: the real vault and
 * wallet over in-memory ports; stores that fail, concurrent tabs, dishonest elders.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Secret } from '#core/secret.ts';
import type { CallInput } from '#bridge/worker-calls.ts';
import { toHex } from '#core/codec/bytes.ts';
import { walletKeys } from '#money/wallet-keys.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { decodeBundle, encodePaymentFacts, type PaymentFact } from '#safe/payment/index.ts';
import {
  addCoin,
  addListPositions,
  decodeReceipt,
  decodeWallet,
  dustLimitFromBytes,
  emptyWallet,
  walletBytes,
  type WalletState,
} from '#safe/wallet/index.ts';
import { createIncomingPayments } from '../../../src/vault/wallet/incoming-payments.ts';
import { certificate, oneCoin } from '../wallet/coins.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
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
  failed,
} from './world.ts';
import type { WorkerRpc } from '../../../src/vault/network/worker-rpc.ts';

afterEach(() => vi.restoreAllMocks());

const send = (tab: Tab, money: MoneyWorld, amount: string) =>
  tab.ask({ kind: 'send', address: money.stranger, amount, memo: '' });

/** Long enough for many rounds of all periodic work. */
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
  test('that could not be stored is reported, not shown, and never given to the worker', async () => {
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
    // The next change does not store the failed one either.
    await send(tab, money, '7');
    await later();
    expect(money.intents.size).toBe(1);
    expect(moneyOf(tab)).toMatchObject({ balance: '100', sent: ['7 preparing'] });
  });

  test('and another tab’s payment are planned from the stored wallet, so they share no coin', async () => {
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

  test('of a Safe that this device must not remember is sent only after the network has stored it', async () => {
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
      throw failed(503, 'busy', 'The elders are busy.');
    };
    await expect(send(tab, money, '5')).rejects.toMatchObject({ kind: 'offline' });
    await later();
    expect(money.intents.size).toBe(0);
    expect(moneyOf(tab)).toMatchObject({ balance: '100', sent: [] });

    browser.intercept = () => undefined;
    await send(tab, money, '6');
    // The tab is closed immediately: the next device that opens the Safe finds the payment.
    await tab.ask({ kind: 'lock' });
    const next = openTab(createBrowser(network), money.factory);
    await next.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: false });
    await next.until(isOpen);
    expect(moneyOf(next)).toMatchObject({ balance: '0', sent: ['6 preparing'] });
  });

  test('of two coins is final with two certificates, never with one', async () => {
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
    money.pay = () => ({ stage: 'preparing', waiting: 'conflict' });
    await later();
    expect(moneyOf(tab)).toMatchObject({ balance: '0', sent: ['150 preparing'] });

    money.facts.set(
      paymentId,
      encodePaymentFacts([committed(0), committed(1), { kind: 'registered' }]),
    );
    money.pay = () => ({ stage: 'registered' });
    await tab.until(openWith((view) => view.money.balance === '50'));
    await later();
    const wallet = await storedWallet(money);
    const receipt = wallet.payments.get(paymentId)?.receipt ?? new Uint8Array();
    expect(decodeReceipt(network.networkId, receipt).ok).toBe(true);
    expect([...wallet.coins.values()].filter(({ source }) => source !== null)).toHaveLength(1);
    // The worker's unencrypted data is deleted as soon as the wallet has it.
    expect(money.done).toContain(paymentId);
    expect(money.intents.size + money.facts.size).toBe(0);
  });

  test('whose facts were deleted too early is requested again until the wallet has them', async () => {
    const network = createNetwork('forgot');
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    money.pay = () => ({ stage: 'registered' });
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
      return { stage: 'registered' };
    };
    await tab.until(openWith((view) => view.money.balance === '90'));
    expect(moneyOf(tab).sent).toEqual(['10 registered']);
  });

  test('releases the coins of a dead payment, so that the same can be sent again', async () => {
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
    money.pay = () => ({ stage: 'replaced' });
    await tab.until(openWith((view) => view.money.balance === '100'));
    expect(moneyOf(tab).sent).toEqual(['150 replaced']);
    money.pay = () => ({ stage: 'preparing' });
    await send(tab, money, '80');
    expect(moneyOf(tab).sent).toContain('80 preparing');
  });

  test('stores the address as sent to, without surrounding spaces', async () => {
    const network = createNetwork('spaces');
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    const address = `${' '.repeat(300)}${money.stranger}\n`;
    const { paymentId } = await tab.ask({ kind: 'send', address, amount: '1', memo: '' });
    expect((await storedWallet(money)).payments.get(paymentId)?.address).toBe(money.stranger);
  });
});

describe('incoming coins', () => {
  /** A Safe with 100 that receives 700 while its device cannot write. */
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

  test('are found again when they could not be stored at first, in every list', async () => {
    const { tab, refusals, heal } = await paidWithFullDisk();
    // Every list is read to its end meanwhile: each round reads two of the seven.
    await expect.poll(refusals, { timeout: 10_000 }).toBeGreaterThan(elders.length);
    expect(moneyOf(tab).balance).toBe('100');
    heal();
    await tab.until(openWith((view) => view.money.balance === '800'));
  });

  test('that cannot be stored are shown until they are', async () => {
    const { tab, heal } = await paidWithFullDisk();
    await tab.until(openWith(({ money: { notice } }) => notice.includes('could not be written')));
    expect(moneyOf(tab).balance).toBe('100');
    heal();
    await tab.until(
      openWith(({ money: { balance, notice } }) => balance === '800' && notice === ''),
    );
  });

  test('known only to a removed Safe are found again when it is reopened', async () => {
    const network = createNetwork('places');
    const browser = createBrowser(network);
    const money = createMoney(network, [100n * unit]);
    const { tab, words } = await makeSafe(browser, money);
    browser.intercept = (call) => {
      if (call !== 'pointer/put') return;
      throw failed(503, 'busy', 'The elders are busy.');
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

  test('under a section key not yet known here are read again when it is', async () => {
    const network = createNetwork('ahead');
    const money = createMoney(network, [100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
    const paid = money.payTo(seed, [7n * unit], 1);
    const ahead = paid.certificates.map((each) => ({ ...each, epoch: 9n }));
    for (const elder of elders) money.list(elder, { ...paid, certificates: ahead });
    await later();
    // The same lists, as they decode once their key is known.
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

  test('leaves dust in the network and shows that, also after a restart; larger coins still arrive', async () => {
    expect(walletBytes(large)).toBeGreaterThan(dustLimitFromBytes);
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

  test('rereads a list from its skipped coins as soon as they fit', async () => {
    const network = createNetwork('room');
    const money = createMoney(network, []);
    const seed = new Uint8Array(32).fill(3);
    const [elder = ''] = elders;
    money.list(elder, money.payTo(seed, [1n], 5));
    const asked: number[] = [];
    const incoming = createIncomingPayments({
      rpc: (async (name: 'outputs', input: CallInput<'outputs'>) => {
        if (toHex(input.elder) === elder) asked.push(input.after);
        return money.rpc(name, input);
      }) as WorkerRpc,
      keys: walletKeys(seed),
      section: money.reader,
      suite: toySuite,
      now: () => 1,
      closed: new AbortController().signal,
    });
    const place = { generation: 0, after: 1, skipped: { from: 0, largest: 1n } };
    const lists = new Map([[elder, place]]);
    const saved: WalletState[] = [];
    const save = async (found: WalletState): Promise<void> => void saved.push(found);
    // Without space it continues from its position, and keeps the skipped one.
    await incoming.scanLists(addListPositions(large, lists), save);
    expect(asked).toEqual([1]);
    expect(saved).toEqual([]);
    for (let round = 0; round < elders.length; round++) {
      await incoming.scanLists(addListPositions(emptyWallet, lists), save);
    }
    expect(asked.slice(1)).toContain(0);
    expect(saved[0]?.coins.size).toBe(1);
    expect(saved[0]?.lists.get(elder)).toEqual({ generation: 1, after: 1, skipped: null });
  });
});

test('Forget makes the worker delete its ended payments', async () => {
  const network = createNetwork('forget');
  const browser = createBrowser(network);
  const { tab } = await makeSafe(browser, createMoney(network, [unit]));
  expect(browser.calls).not.toContain('pay/done');
  await tab.ask({ kind: 'forget', evenUnsaved: false });
  await expect.poll(() => browser.calls).toContain('pay/done');
});

test('after Lock no wallet key remains', async () => {
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
