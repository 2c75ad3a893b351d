/**
 * Goal: a browser store answers each call in time and with the reason, whatever other tabs do to its
 * database. Method: an in-memory IndexedDB; tests/e2e/browser-stores.test.ts has a real one.
 */
import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { beforeEach, expect, test, vi } from 'vitest';
import { completed, lazyDatabase, StoredDataError } from '#storage/browser/indexed-db.ts';
import { createBrowserVaultStore } from '#storage/browser/vault-store.ts';
import { toVaultError } from '../../../src/vault/failure.ts';

const open = (version: number, letsGo: boolean): Promise<IDBDatabase> =>
  new Promise((done) => {
    const opening = indexedDB.open('things', version);
    opening.onupgradeneeded = () => opening.result.createObjectStore('things');
    opening.onsuccess = () => {
      const db = opening.result;
      if (letsGo) db.onversionchange = () => db.close();
      done(db);
    };
  });
const things = () =>
  lazyDatabase<{ things: { key: string; value: number } }>('things', 2, () => {});

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

test('an older tab that closes the database causes no error', async () => {
  await open(1, true);
  expect((await things()()).version).toBe(2);
});

test('an older tab that keeps the database fails every call in time; once it is gone the data opens', async () => {
  const older = await open(1, false);
  const database = things();
  const failure = await database().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StoredDataError);
  expect(toVaultError(failure).message).toContain('Close the other tabs of Safe');
  await expect(database()).rejects.toThrow('Close the other tabs');
  older.close();
  await vi.waitFor(async () => expect((await database()).version).toBe(2), { timeout: 20_000 });
});

test('data of a newer version is reported as such', async () => {
  (await open(3, true)).close();
  const failure = await things()().catch((error: unknown) => error);
  expect(toVaultError(failure).message).toContain('newer version of Safe');
});

test("a transaction that failed on a full disk rejects with that reason, not with its requests' abort", async () => {
  const full = new DOMException('no room', 'QuotaExceededError');
  const aborted = Promise.reject(new DOMException('aborted', 'AbortError'));
  const failure = await completed({ done: Promise.reject(full) }, aborted).catch(
    (error: unknown) => error,
  );
  expect(toVaultError(failure).kind).toBe('storageFull');
});

test('a device key made while another tab has closed the database unwraps what it wrapped', async () => {
  const store = createBrowserVaultStore();
  const real = crypto.subtle.generateKey.bind(crypto.subtle) as (
    ...args: readonly unknown[]
  ) => Promise<CryptoKey>;
  const spy = vi.spyOn(crypto.subtle, 'generateKey').mockImplementation((async (
    ...args: readonly unknown[]
  ) => {
    await new Promise<void>((done) => {
      indexedDB.deleteDatabase('safe-vault').onsuccess = () => done();
    });
    return real(...args);
  }) as never);
  const context = Uint8Array.of(1);
  const wrapped = await store.wrap(Uint8Array.of(7), context);
  spy.mockRestore();
  expect(await store.unwrap(wrapped, context)).toEqual(Uint8Array.of(7));
});
