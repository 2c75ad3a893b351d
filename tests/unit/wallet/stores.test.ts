/** Goal: a database that failed to open is opened by the next call. Method: a first attempt that fails. */
import { expect, test, vi } from 'vitest';

const openDB = vi.hoisted(() => vi.fn());
vi.mock('idb', () => ({ openDB }));

const opened = {
  get: async () => 'automatic',
  getAllFromIndex: async () => [],
  transaction: () => ({ objectStore: () => ({ getAllKeys: async () => [] }) }),
};

const stores: readonly (readonly [string, () => Promise<() => Promise<unknown>>])[] = [
  [
    'the worker’s memory',
    async () => (await import('#storage/browser/worker-store.ts')).workerStore.preference,
  ],
  ['payments', async () => (await import('#storage/browser/payments.ts')).listPayments],
  [
    'pins',
    async () => {
      const { getPins } = await import('#storage/browser/pins.ts');
      return () => getPins('network');
    },
  ],
  [
    'the vault',
    async () => {
      const { createBrowserVaultStore } = await import('#storage/browser/vault-store.ts');
      const store = createBrowserVaultStore();
      return () => store.listPlans('owner');
    },
  ],
];

test.each(stores)('%s', async (_name, load) => {
  const read = await load();
  openDB.mockReset();
  openDB.mockRejectedValueOnce(new DOMException('the disk is busy', 'UnknownError'));
  await expect(read()).rejects.toThrow('the disk is busy');
  openDB.mockResolvedValue(opened);
  await read();
  await read();
  // Once open it stays open.
  expect(openDB).toHaveBeenCalledTimes(2);
});
