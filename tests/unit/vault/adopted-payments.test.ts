/**
 * Goal: a payment that another device of this Safe has begun with the same money is completed here, stored before
 * it is sent; one that this Safe has not made is never sent (PAYMENT-P8).
 * Method: the real vault and wallet; the worker's facts contain the other payment.
 */
import { describe, expect, test } from 'vitest';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { addressOf } from '#money/wallet-address.ts';
import { walletKeys, type WalletKeys } from '#money/wallet-keys.ts';
import {
  decodeTransaction,
  encodeTransaction,
  txidOf,
  type Transaction,
} from '#money/transaction.ts';
import { decodeBundle, encodePaymentFacts, type PaymentFact } from '#safe/payment/index.ts';
import {
  decodeWallet,
  planPayment,
  scanCommitted,
  type CoinRecord,
  type WalletState,
} from '#safe/wallet/index.ts';
import { seedOf } from '../money/fixtures.ts';
import { certificate } from '../wallet/coins.ts';
import { createMoney, elders, makeSafe, moneyOf, unit, type MoneyWorld } from './money-world.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  wait,
  type Tab,
} from './world.ts';

const later = (): Promise<void> => wait(400);

async function storedWallet(money: MoneyWorld): Promise<WalletState> {
  const bytes = await money.contexts.at(-1)?.update((section) => section);
  const wallet = decodeWallet(bytes ?? new Uint8Array());
  if (!wallet.ok) throw new Error('the wallet cannot be read');
  return wallet.value;
}

const keysOf = (money: MoneyWorld): WalletKeys =>
  walletKeys(money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array());

/** A payment of this wallet's coins, as another device of the Safe would sign it. */
async function plannedElsewhere(
  money: MoneyWorld,
  networkId: Uint8Array,
  amount: bigint,
  choose: (coins: readonly CoinRecord[]) => readonly CoinRecord[] = (coins) => coins,
): Promise<Transaction> {
  const { coins } = await storedWallet(money);
  const planned = planPayment({
    keys: keysOf(money),
    networkId,
    coins: choose([...coins.values()].map((each) => ({ ...each, reservedBy: new Set<string>() }))),
    address: addressOf(walletKeys(seedOf('elsewhere'))),
    amount,
    memo: new Uint8Array(),
    entropy: seedOf(`elsewhere ${amount}`),
  });
  const decoded = planned.ok ? decodeTransaction(planned.value.bundle.transaction) : planned;
  if (!decoded.ok) throw new Error('it can be paid');
  return decoded.value;
}

const adoptedFact = (transaction: Transaction): PaymentFact => ({
  kind: 'adopted',
  adoption: {
    txid: txidOf(transaction),
    transaction: encodeTransaction(transaction),
    votes: [{ index: 0, epoch: 0n, elders: [] }],
  },
});

const committed = (index: number): PaymentFact => ({
  kind: 'committed',
  index,
  certificate: certificate(),
});

const send = (tab: Tab, money: MoneyWorld, amount: string) =>
  tab.ask({ kind: 'send', address: money.stranger, amount, memo: '' });

const sentence = (tab: Tab, amount: string): string => {
  const view = tab.view();
  if (view.kind !== 'open') throw new Error('the Safe is open');
  return view.money.payments.find((each) => each.amount === amount)?.sentence ?? '';
};

/** Of 200 in two coins, 150 are being sent; the worker has found another payment of both or one of them. */
async function raced(
  name: string,
  other: (money: MoneyWorld, id: Uint8Array) => Promise<Transaction>,
) {
  const network = createNetwork(name);
  const browser = createBrowser(network);
  const money = createMoney(network, [100n * unit, 100n * unit]);
  const { tab } = await makeSafe(browser, money);
  const transaction = await other(money, network.networkId);
  const { paymentId } = await send(tab, money, '150');
  const otherId = toHex(txidOf(transaction));
  const report = (waiting: 'adopted' | 'conflict' | null): void => {
    money.pay = (id) => ({ stage: 'preparing', waiting: id === paymentId ? waiting : null });
  };
  const adopt = (): void => {
    money.facts.set(paymentId, encodePaymentFacts([adoptedFact(transaction)]));
    report('adopted');
  };
  return { browser, money, tab, paymentId, otherId, transaction, report, adopt };
}

describe('PAYMENT-P8: another payment of this Safe', () => {
  test('is stored, then sent, then final; the own one is replaced and its other coin free', async () => {
    const { money, tab, paymentId, otherId, transaction, adopt } = await raced(
      'adopted',
      (money, id) => plannedElsewhere(money, id, 40n * unit),
    );
    adopt();
    await expect.poll(() => money.intents.has(otherId), { timeout: 5_000 }).toBe(true);
    const bundle = decodeBundle(money.intents.get(otherId) ?? new Uint8Array());
    expect(bundle.ok && equalBytes(bundle.value.transaction, encodeTransaction(transaction))).toBe(
      true,
    );
    expect(bundle.ok && bundle.value.sources).toHaveLength(1);
    expect([...moneyOf(tab).sent].sort()).toEqual(['150 preparing', '40 preparing']);
    const view = tab.view();
    const payments = view.kind === 'open' ? view.money.payments : [];
    expect(payments.filter(({ recipientUnknown }) => recipientUnknown)).toMatchObject([
      { id: otherId, amount: '40', memo: '' },
    ]);
    expect(sentence(tab, '150')).toMatch(/already begun a payment with the same money/);

    money.facts.set(otherId, encodePaymentFacts([committed(0), { kind: 'registered' }]));
    money.pay = (id) =>
      id === otherId ? { stage: 'registered' } : { stage: 'preparing', waiting: 'adopted' };
    await tab.until(openWith((now) => now.money.balance === '160'));
    expect([...moneyOf(tab).sent].sort()).toEqual(['150 replaced', '40 registered']);
    expect(sentence(tab, '150')).toMatch(
      /Another device of this Safe had already begun a payment with the same money, of 40; it was completed\./,
    );
    expect((await storedWallet(money)).payments.get(paymentId)?.stages.has('final')).toBe(false);
    // All of it can be spent at once.
    await send(tab, money, '160');
  });

  test('that cannot be stored is not sent', async () => {
    const { browser, money, tab, otherId, adopt } = await raced('adopt full', (money, id) =>
      plannedElsewhere(money, id, 40n * unit),
    );
    const { putSafe } = browser.store;
    Object.assign(browser.store, {
      putSafe: async () => {
        throw new DOMException('full', 'QuotaExceededError');
      },
    });
    adopt();
    await later();
    await later();
    expect(money.intents.has(otherId)).toBe(false);
    Object.assign(browser.store, { putSafe });
    await expect.poll(() => money.intents.has(otherId), { timeout: 8_000 }).toBe(true);
    expect(moneyOf(tab).sent).toContain('40 preparing');
  });

  test('is found although the conflict is reported again, and after a restart', async () => {
    const { money, tab, otherId, adopt, report } = await raced('adopt later', (money, id) =>
      plannedElsewhere(money, id, 40n * unit),
    );
    await tab.ask({ kind: 'lock' });
    adopt();
    report('conflict');
    await tab.ask({ kind: 'unlockHere', password: goodPassword });
    await tab.until(isOpen);
    await expect.poll(() => money.intents.has(otherId), { timeout: 5_000 }).toBe(true);
  });
});

describe('PAYMENT-P8: a payment is never sent from here', () => {
  test('that other keys have signed', async () => {
    const { money, tab, otherId, adopt } = await raced('foreign', async (money, id) => ({
      ...(await plannedElsewhere(money, id, 40n * unit)),
      recoveryKey: seedOf('other keys'),
    }));
    adopt();
    await expect.poll(() => sentence(tab, '150')).toMatch(/^Somebody else who has the keys/);
    expect(money.intents.has(otherId)).toBe(false);
    expect(moneyOf(tab)).toMatchObject({ balance: '0', sent: ['150 preparing'] });
  });

  test('that was replaced', async () => {
    const network = createNetwork('dead');
    const money = createMoney(network, [100n * unit, 100n * unit]);
    const { tab } = await makeSafe(createBrowser(network), money);
    // Another device has paid with one coin of a first payment, so that its second coin is free again.
    const winner = await plannedElsewhere(money, network.networkId, 40n * unit);
    const { paymentId: first } = await send(tab, money, '150');
    const sent = decodeBundle(money.intents.get(first) ?? new Uint8Array());
    const dead = sent.ok ? decodeTransaction(sent.value.transaction) : sent;
    const keyImage = winner.inputs[0]?.keyImage;
    if (!dead.ok || keyImage === undefined) throw new Error('our own payment');
    const by = { txid: txidOf(winner), transaction: encodeTransaction(winner), keyImage };
    const replaced = { kind: 'replaced', by: { ...by, certificate: certificate() } } as const;
    money.facts.set(first, encodePaymentFacts([replaced]));
    money.pay = () => ({ stage: 'replaced' });
    await tab.until(openWith((view) => view.money.balance === '100'));
    money.pay = () => ({ stage: 'preparing', waiting: 'adopted' });
    const { paymentId } = await send(tab, money, '90');
    money.facts.set(paymentId, encodePaymentFacts([adoptedFact(dead.value)]));
    await expect.poll(() => sentence(tab, '90')).toMatch(/^Elders have voted for an earlier/);
    // It holds only its own coin.
    expect([...moneyOf(tab).sent].sort()).toEqual(['150 replaced', '90 preparing']);
  });

  test('that spends coins unknown here', async () => {
    const { money, tab, otherId, adopt } = await raced('unknown', async (money, id) => {
      // The other device has a third coin that this one has not found yet.
      const more = money.payTo(money.contexts.at(-1)?.seed.reveal() ?? seedOf(''), [50n * unit], 9);
      const before = await storedWallet(money);
      const known = scanCommitted(keysOf(money), before, more, 1);
      return plannedElsewhere(money, id, 240n * unit, () => [...known.coins.values()]);
    });
    adopt();
    await expect.poll(() => sentence(tab, '150')).toMatch(/^A device that this one does not know/);
    expect(money.intents.has(otherId)).toBe(false);
    // It is completed once the third coin is found.
    const seed = money.contexts.at(-1)?.seed.reveal() ?? seedOf('');
    for (const elder of elders) money.list(elder, money.payTo(seed, [50n * unit], 9));
    await expect.poll(() => money.intents.has(otherId), { timeout: 10_000 }).toBe(true);
  });
});

test('PAYMENT-P8: a conflict alone frees no coin, however long it lasts', async () => {
  const { tab, money, report } = await raced('conflict', (money, id) =>
    plannedElsewhere(money, id, 40n * unit),
  );
  report('conflict');
  await later();
  await later();
  expect(moneyOf(tab)).toMatchObject({ balance: '0', sent: ['150 preparing'] });
  await expect(send(tab, money, '1')).rejects.toMatchObject({ kind: 'notEnoughMoney' });
});

test('PAYMENT-P8: a restored wallet without history spends all its money', async () => {
  const network = createNetwork('restored');
  const money = createMoney(network, []);
  const { tab, words } = await makeSafe(createBrowser(network), money);
  const seed = money.contexts.at(-1)?.seed.reveal().slice() ?? seedOf('');
  const paid = [1, 2].map((salt) => money.payTo(seed, [100n * unit], salt));
  for (const elder of elders) for (const each of paid) money.list(elder, each);
  await tab.until(openWith((view) => view.money.balance === '200'));
  // A device without history had begun this one, and is lost.
  const lost = await plannedElsewhere(money, network.networkId, 40n * unit);
  const lostId = toHex(txidOf(lost));
  await tab.ask({ kind: 'lock' });

  const next = openTab(createBrowser(network), money.factory);
  await next.ask({ kind: 'unlockWithPhrase', words, password: goodPassword, remember: true });
  await next.until(openWith((view) => view.money.balance === '200'));
  const { paymentId } = await send(next, money, '200');
  money.facts.set(paymentId, encodePaymentFacts([adoptedFact(lost)]));
  money.facts.set(lostId, encodePaymentFacts([committed(0), { kind: 'registered' }]));
  money.pay = (id) =>
    id === lostId && money.intents.has(lostId)
      ? { stage: 'registered' }
      : { stage: 'preparing', waiting: id === paymentId ? 'adopted' : null };
  await next.until(openWith((view) => view.money.balance === '160'));
  expect([...moneyOf(next).sent].sort()).toEqual(['200 replaced', '40 registered']);
  await send(next, money, '160');
});
