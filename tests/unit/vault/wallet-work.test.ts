/**
 * Goal: a wallet of several MiB is read and written once per change, not once per item. Method: counts
 * instead of times: decoded or encoded wallets, items compared by encoding them.
 */
import { expect, test, vi } from 'vitest';
import { Writer } from '#core/codec/bytes.ts';
import type * as Codec from '#safe/wallet/stored/codec.ts';
import type * as Cbor from '#core/codec/cbor.ts';
import { encodeRegistryEntry } from '#money/spend-certificate.ts';
import { walletKeys } from '#money/wallet-keys.ts';
import {
  addCoin,
  addPayment,
  addSpend,
  decodeWallet,
  emptyWallet,
  encodeWallet,
  mergeWallets,
  scanEntry,
  acceptsCoin,
  walletBytes,
  type WalletState,
} from '#safe/wallet/index.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { coinsOf, transactionOf } from '../wallet/coins.ts';
import { createMoney, elders, makeSafe, unit } from './money-world.ts';
import { createBrowser, createNetwork, openWith } from './world.ts';

const work = vi.hoisted(() => ({ decoded: 0, encoded: 0, compared: 0 }));

vi.mock('#safe/wallet/stored/codec.ts', async (original) => {
  const real = await original<typeof Codec>();
  const seen = new WeakSet<object>();
  return {
    ...real,
    decodeWallet: (bytes: Uint8Array) => {
      work.decoded += 1;
      return real.decodeWallet(bytes);
    },
    encodeWallet: (state: WalletState) => {
      // A cached encoding is only looked up.
      if (!seen.has(state)) work.encoded += 1;
      seen.add(state);
      return real.encodeWallet(state);
    },
  };
});

vi.mock('#core/codec/cbor.ts', async (original) => {
  const real = await original<typeof Cbor>();
  return {
    ...real,
    encodeCbor: (value: never) => {
      work.compared += 1;
      return real.encodeCbor(value);
    },
  };
});

const start = (): void => void Object.assign(work, { decoded: 0, encoded: 0, compared: 0 });

const paymentOf = (name: string, bundle: Uint8Array | null = new Uint8Array(40)) => ({
  txid: transactionOf(name).txid,
  amount: 7n,
  address: 'somebody',
  memo: new Uint8Array(),
  at: 1,
  bundle,
});

/** Coins of some transactions, one spent; payments, one with its bundle. */
function walletOf(count: number): WalletState {
  let state = emptyWallet;
  for (let n = 0; n < count; n++) {
    const coins = coinsOf(`coin ${n}`, { amounts: [7n, 8n], ...(n % 2 ? { path: 3 } : {}) });
    for (const { coin, source } of coins) state = addCoin(state, coin, source, n);
    const [spent] = coins;
    if (spent) state = addPayment(state, paymentOf(`payment ${n}`), [spent.coin.keyImage]);
    if (spent && n % 3 === 0) {
      state = addSpend(state, spent.coin.keyImage, paymentOf(`payment ${n}`).txid);
    }
  }
  return state;
}

test('the size of a wallet equals its size in the index, and is computed without encoding it', () => {
  const states = [emptyWallet, walletOf(1), walletOf(20)];
  const finish = vi.spyOn(Writer.prototype, 'finish');
  const sizes = states.map(walletBytes);
  // At most one proof at a time.
  const longest = Math.max(
    0,
    ...finish.mock.results.map(({ value }) => (value as Uint8Array).length),
  );
  finish.mockRestore();
  expect(longest).toBeLessThan(2_000);
  expect(sizes).toEqual(states.map((state) => encodeWallet(state).length));
});

test('two copies of one wallet are merged without encoding their equal parts', () => {
  const bytes = encodeWallet(walletOf(20));
  const [a, b] = [decodeWallet(bytes), decodeWallet(bytes)];
  if (!a.ok || !b.ok) throw new Error('a wallet that was written can be read');
  start();
  const merged = mergeWallets(a.value, b.value);
  expect(work.compared).toBe(0);
  expect(encodeWallet(merged)).toEqual(bytes);
});

test('found coins do not encode the whole wallet once each', async () => {
  const money = createMoney(createNetwork('scan'), []);
  const seed = new Uint8Array(32).fill(3);
  const keys = walletKeys(seed);
  const sections = await money.reader.moneyKeys();
  const paid = money.payTo(seed, Array<bigint>(16).fill(unit), 1);
  const finish = vi.spyOn(Writer.prototype, 'finish');
  let state = walletOf(20);
  const whole = encodeWallet(state).length;
  finish.mockClear();
  for (let index = 0; index < 16; index++) {
    const scanner = { keys, sections, suite: toySuite, acceptsCoin };
    const scanned = scanEntry(scanner, state, encodeRegistryEntry({ ...paid, index }), 1);
    if (!scanned.ok) throw new Error(scanned.error);
    state = scanned.value.state;
  }
  const lengths = finish.mock.results.map(({ value }) => (value as Uint8Array).length);
  finish.mockRestore();
  expect(lengths.filter((length) => length >= whole)).toEqual([]);
  expect(walletBytes(state)).toBeGreaterThan(whole);
});

test('a payment neither reads nor compares the wallet again, and writes it once', async () => {
  const network = createNetwork('work');
  const money = createMoney(network, [unit, 2n * unit], walletOf(5));
  const { tab } = await makeSafe(createBrowser(network), money);
  start();
  await tab.ask({ kind: 'send', address: money.stranger, amount: '1', memo: '' });
  expect(work.decoded).toBe(0);
  expect(work.encoded).toBe(1);
  // Its new parts, such as the bundle, are encoded separately.
  expect(work.compared).toBeLessThan(20);
});

test('incoming money writes the wallet once, and reads it at most once', async () => {
  const network = createNetwork('arrives');
  const money = createMoney(network, [unit], walletOf(5));
  const { tab } = await makeSafe(createBrowser(network), money);
  const seed = money.contexts.at(-1)?.seed.reveal() ?? new Uint8Array();
  start();
  for (const elder of elders) money.list(elder, money.payTo(seed, Array<bigint>(8).fill(unit), 9));
  await tab.until(openWith((view) => Number(view.money.balance) > 8));
  expect(work.encoded).toBeLessThanOrEqual(1);
  expect(work.decoded).toBeLessThanOrEqual(1);
});
