/**
 * Goal: money in a full wallet can be spent. Method: the real vault and wallet over in-memory ports, with a
 * list of finished payments at the bounds.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import {
  emptyWallet,
  maxBytesForSending,
  maxBytesForChange,
  walletBytes,
  type PaymentRecord,
  type WalletState,
} from '#safe/wallet/index.ts';
import { createMoney, makeSafe, moneyOf, unit, type MoneyWorld } from './money-world.ts';
import { createBrowser, createNetwork, openWith, type Tab } from './world.ts';

const receiptBytes = 12_000;

/** Only finished payments, of at least this many bytes. */
function finished(bytes: number): WalletState {
  const payments = new Map<string, PaymentRecord>();
  for (let n = 0; n * receiptBytes < bytes; n++) {
    const txid = new Uint8Array(32);
    new DataView(txid.buffer).setUint32(0, n);
    payments.set(toHex(txid), {
      txid,
      amount: 1n,
      address: 'somebody',
      memo: new Uint8Array(),
      at: n,
      bundle: null,
      receipt: new Uint8Array(receiptBytes),
      stages: new Set(['committing', 'final', 'registered']),
    });
  }
  return { ...emptyWallet, payments };
}

const send = (tab: Tab, money: MoneyWorld, amount: string) =>
  tab.ask({ kind: 'send', address: money.stranger, amount, memo: '' });

test('a full wallet pays whole coins until nothing is left, and shows the maximum per payment', async () => {
  const full = finished(maxBytesForChange);
  expect(walletBytes(full)).toBeGreaterThan(maxBytesForChange);
  const network = createNetwork('full');
  const money = createMoney(network, Array<bigint>(9).fill(unit), full);
  const { tab } = await makeSafe(createBrowser(network), money);
  await expect(send(tab, money, '0.5')).rejects.toMatchObject({
    kind: 'storageFull',
    message: expect.stringContaining('send 8 to its address') as string,
  });
  expect(moneyOf(tab).balance).toBe('9');
  await send(tab, money, '8');
  await expect(send(tab, money, '0.5')).rejects.toMatchObject({
    kind: 'storageFull',
    message: expect.stringContaining('send 1 to its address') as string,
  });
  await send(tab, money, '1');
  await tab.until(openWith((view) => view.money.balance === '0'));
  expect(money.intents.size).toBe(2);
});

test('without space for one more receipt not even a whole coin can be spent', async () => {
  const network = createNetwork('over');
  const money = createMoney(network, [unit], finished(maxBytesForSending));
  const { tab } = await makeSafe(createBrowser(network), money);
  await expect(send(tab, money, '1')).rejects.toMatchObject({
    kind: 'storageFull',
    message: expect.stringContaining('your money stays yours') as string,
  });
  expect(moneyOf(tab).balance).toBe('1');
  expect(money.intents.size).toBe(0);
});
