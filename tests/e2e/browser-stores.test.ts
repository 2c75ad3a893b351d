/**
 * Goal: in a real browser the stores survive reloads and work between tabs; and whatever IndexedDB does to
 * a store (aborted transactions, other tabs with another version, data cleared meanwhile), a failed call
 * rejects with an actionable reason, earlier data stays, and the next call works.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { steps } from '../contract/vault-store/steps.ts';
import { openStores, type Stores, type StoresBrowser } from './support/stores-page.ts';

declare const stores: Stores;

let browser: StoresBrowser;
beforeAll(async () => {
  browser = await openStores();
});
afterAll(() => browser.close());

test.each(Object.keys(steps))('in IndexedDB: %s', async (sentence) => {
  const { page } = await browser.open();
  await page.evaluate(async (name) => stores.steps[name]?.(stores.vault), sentence);
});

test('the device key survives a reload, cannot be read out, and is the same in two tabs', async () => {
  const { page: one, another } = await browser.open();
  const two = await another();
  const wrap = (page: Page): Promise<number[]> =>
    page.evaluate(async () => [...(await stores.vault.wrap(Uint8Array.of(7), Uint8Array.of(1)))]);
  const wrapped = await Promise.all([wrap(one), wrap(two)]);
  await one.reload();
  await one.waitForFunction(() => 'stores' in globalThis);
  const opened = await one.evaluate(
    async (all) =>
      Promise.all(
        all.map(async (bytes) => {
          const plain = await stores.vault.unwrap(Uint8Array.from(bytes), Uint8Array.of(1));
          return plain === null ? null : [...plain];
        }),
      ),
    wrapped,
  );
  expect(opened).toEqual([[7], [7]]);
  const extractable = await one.evaluate(
    () =>
      new Promise<boolean>((done) => {
        indexedDB.open('safe-vault').onsuccess = (event) => {
          const db = (event.target as IDBOpenDBRequest).result;
          const get = db.transaction('keys').objectStore('keys').get('device');
          get.onsuccess = () => done((get.result as CryptoKey).extractable);
        };
      }),
  );
  expect(extractable).toBe(false);
});

test('payment intents and facts are there after a reload, and gone once they are removed', async () => {
  const { page } = await browser.open();
  await page.evaluate(async () => {
    await stores.payments.putIntent('bb', Uint8Array.of(2));
    await stores.payments.putIntent('aa', Uint8Array.of(1));
    await stores.payments.putFacts('aa', Uint8Array.of(3));
    await stores.payments.putFacts('cc', Uint8Array.of(4));
  });
  await page.reload();
  await page.waitForFunction(() => 'stores' in globalThis);
  const found = await page.evaluate(async () => ({
    payments: await stores.payments.listPayments(),
    one: [...((await stores.payments.getIntent('bb')) ?? [])],
    facts: [...((await stores.payments.getFacts('aa')) ?? [])],
    none: (await stores.payments.getFacts('bb')) === undefined,
  }));
  expect(found).toEqual({ payments: ['aa', 'bb', 'cc'], one: [2], facts: [3], none: true });
  await page.evaluate(() => stores.payments.removePayment('aa'));
  expect(
    await page.evaluate(async () => ({
      payments: await stores.payments.listPayments(),
      none: (await stores.payments.getFacts('aa')) === undefined,
    })),
  ).toEqual({ payments: ['bb', 'cc'], none: true });
});

test('payments of version 0.1 are kept, without its unencrypted list positions', async () => {
  const { page } = await browser.open();
  const found = await page.evaluate(async () => {
    await new Promise<void>((done) => {
      const opening = indexedDB.open('safe-payments', 1);
      opening.onupgradeneeded = () => {
        for (const name of ['intents', 'facts', 'cursors']) opening.result.createObjectStore(name);
        opening.transaction?.objectStore('intents').put(Uint8Array.of(7), 'aa');
        opening.transaction?.objectStore('cursors').put(5, 'owner/elder');
      };
      opening.onsuccess = () => {
        opening.result.close();
        done();
      };
    });
    const intent = [...((await stores.payments.getIntent('aa')) ?? [])];
    const names = await new Promise<string[]>((done) => {
      const opening = indexedDB.open('safe-payments');
      opening.onsuccess = () => done([...opening.result.objectStoreNames]);
    });
    return { intent, names };
  });
  expect(found).toEqual({ intent: [7], names: ['facts', 'intents'] });
});

test('data of a newer version is refused with a sentence and left unchanged', async () => {
  const { page } = await browser.open();
  const message = await page.evaluate(async () => {
    await new Promise<void>((done) => {
      indexedDB.open('safe-vault', 99).onsuccess = (event) => {
        (event.target as IDBOpenDBRequest).result.close();
        done();
      };
    });
    return stores.vault.listSafes().then(
      () => 'opened',
      (error: unknown) => (error as Error).message,
    );
  });
  expect(message).toContain('newer version of Safe');
});

/** The data that every store writes, and how it is read back: runs in the page, hence a script. */
const writes = {
  'a Safe': { database: 'safe-vault', store: 'safes' },
  'a plan': { database: 'safe-vault', store: 'plans' },
  'the device key': { database: 'safe-vault', store: 'keys' },
  'an intent': { database: 'safe-payments', store: 'intents' },
  facts: { database: 'safe-payments', store: 'facts' },
  pins: { database: 'safe-pins', store: 'pins' },
  'a preference': { database: 'safe-worker', store: 'values' },
} as const;
type What = keyof typeof writes;
const everything = Object.keys(writes) as readonly What[];

/** Writes one of them. @returns the outcome of the call. */
const write = (page: Page, what: What): Promise<string> =>
  page.evaluate(async (name) => {
    const { vault, payments, pins, memory, toVaultError } = stores;
    const bytes = crypto.getRandomValues(new Uint8Array(4));
    const calls: Record<What, () => Promise<unknown>> = {
      'a Safe': () =>
        vault.putSafe({
          id: 'one',
          owner: 'aa',
          fingerprint: 'one two three',
          network: null,
          device: bytes,
          member: bytes,
          envelope: bytes,
          version: '1',
          published: false,
          usedAt: 1,
        }),
      'a plan': () => vault.putPlan({ id: 'one', owner: 'aa', sealed: bytes }),
      'the device key': () => vault.wrap(bytes, bytes),
      'an intent': () => payments.putIntent('one', bytes),
      facts: () => payments.putFacts('one', bytes),
      pins: () => pins.putPins('one', bytes),
      'a preference': () => memory.savePreference('relayed'),
    };
    return calls[name]().then(
      () => 'done',
      (error: unknown) => toVaultError(error).kind,
    );
  }, what);

/** The number of items in this store, read without the program. */
const countIn = (page: Page, what: What): Promise<number> =>
  page.evaluate(
    ({ database, store }) =>
      new Promise<number>((done, fail) => {
        const opening = indexedDB.open(database);
        opening.onerror = () => fail(new Error('not opened'));
        opening.onsuccess = () => {
          const db = opening.result;
          const counting = db.transaction(store).objectStore(store).count();
          counting.onsuccess = () => {
            db.close();
            done(counting.result);
          };
        };
      }),
    writes[what],
  );

/** The next writing transaction is aborted, before or after its request was done. */
const abortNext = (page: Page, when: 'before' | 'after'): Promise<void> =>
  page.evaluate((moment) => {
    const real = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (...args) {
      IDBObjectStore.prototype.put = real;
      const request = real.apply(this, args);
      const { transaction } = this;
      if (moment === 'before') queueMicrotask(() => transaction.abort());
      else request.addEventListener('success', () => transaction.abort());
      return request;
    };
  }, when);

test.each(everything.flatMap((what) => [[what, 'before'] as const, [what, 'after'] as const]))(
  '%s: a transaction aborted %s its request is done does not count as stored, and the next attempt does',
  async (what, when) => {
    const { page, errors } = await browser.open();
    // The stores exist, and are empty.
    await page.evaluate(async () => {
      await stores.vault.listSafes();
      await stores.payments.listPayments();
      await stores.pins.getPins('one');
      await stores.memory.preference();
    });
    await abortNext(page, when);
    expect(await write(page, what)).toBe('internal');
    expect(await countIn(page, what)).toBe(0);
    expect(await write(page, what)).toBe('done');
    expect(await countIn(page, what)).toBe(1);
    expect(errors).toEqual([]);
  },
);

test('data cleared by the person while a tab is open is recreated by the next call', async () => {
  const { page, errors } = await browser.open();
  for (const what of everything) expect(await write(page, what)).toBe('done');
  await browser.clear(page);
  for (const what of everything) {
    // The browser may fail one call in progress; not the one after it.
    const first = await write(page, what);
    if (first !== 'done') expect(await write(page, what), what).toBe('done');
    expect(await countIn(page, what), what).toBe(1);
  }
  expect(errors).toEqual([]);
});

test('a newer version in another tab opens immediately, and the older tab reports it', async () => {
  const { page, another } = await browser.open();
  for (const what of everything) expect(await write(page, what)).toBe('done');
  const other = await another();
  for (const database of new Set(Object.values(writes).map(({ database: name }) => name))) {
    const opened = await other.evaluate(
      (name) =>
        new Promise<string>((done) => {
          const opening = indexedDB.open(name, 99);
          opening.onblocked = () => done('blocked');
          opening.onsuccess = () => {
            opening.result.close();
            done('opened');
          };
        }),
      database,
    );
    expect(opened, database).toBe('opened');
  }
  const message = await page.evaluate(() =>
    stores.payments.listPayments().then(
      () => 'read',
      (error: unknown) => stores.toVaultError(error).message,
    ),
  );
  expect(message).toContain('newer version of Safe');
});

test('a device key made while the store is closed for another tab unwraps what it wrapped', async () => {
  const { page, another } = await browser.open();
  const other = await another();
  await page.evaluate(() => {
    const real = crypto.subtle.generateKey.bind(crypto.subtle);
    const waiting = new Promise<void>((go) => Object.assign(globalThis, { goOn: go }));
    Object.assign(globalThis, { isMaking: false });
    crypto.subtle.generateKey = (async (...args: Parameters<typeof real>) => {
      Object.assign(globalThis, { isMaking: true });
      await waiting;
      return real(...args);
    }) as typeof crypto.subtle.generateKey;
    const context = Uint8Array.of(1);
    Object.assign(globalThis, {
      wrapped: stores.vault
        .wrap(Uint8Array.of(7), context)
        .then((bytes) => stores.vault.unwrap(bytes, context))
        .then(
          (plain) => (plain === null ? 'lost' : 'opened'),
          (error: unknown) => String(error),
        ),
    });
  });
  await page.waitForFunction(() => (globalThis as unknown as { isMaking: boolean }).isMaking);
  // Deleting closes the connections of every tab, as a newer version does.
  await other.evaluate(
    () =>
      new Promise<void>((done) => {
        indexedDB.deleteDatabase('safe-vault').onsuccess = () => done();
      }),
  );
  const outcome = await page.evaluate(() => {
    const { goOn, wrapped } = globalThis as unknown as {
      goOn: () => void;
      wrapped: Promise<string>;
    };
    goOn();
    return wrapped;
  });
  expect(outcome).toBe('opened');
});

/** A database of version 0.1, in a page that runs version 0.1. */
const asFirstVersion = (page: Page, letsGo: boolean): Promise<void> =>
  page.evaluate(
    (doesLetGo) =>
      new Promise<void>((done) => {
        const opening = indexedDB.open('safe-payments', 1);
        opening.onupgradeneeded = () => {
          for (const name of ['intents', 'facts', 'cursors']) {
            opening.result.createObjectStore(name);
          }
          opening.transaction?.objectStore('intents').put(Uint8Array.of(7), 'aa');
          opening.transaction?.objectStore('facts').put(Uint8Array.of(8), 'aa');
          opening.transaction?.objectStore('cursors').put(5, 'owner/elder');
        };
        opening.onsuccess = () => {
          const db = opening.result;
          if (doesLetGo) db.onversionchange = () => db.close();
          Object.assign(globalThis, { kept: db });
          done();
        };
      }),
    letsGo,
  );
const intentOf = (page: Page): Promise<string> =>
  page.evaluate(() =>
    stores.payments.getIntent('aa').then(
      (bytes) => String(bytes),
      (error: unknown) => stores.toVaultError(error).message,
    ),
  );

test('two concurrent tabs upgrade the store of payments next to a tab of version 0.1, and each reads all', async () => {
  const { page: old, another } = await browser.open();
  await asFirstVersion(old, true);
  const tabs = [await another(), await another()];
  expect(await Promise.all(tabs.map(intentOf))).toEqual(['7', '7']);
});

test('a tab of version 0.1 that keeps the database is reported to the person, and nothing hangs', async () => {
  const { page: old, another } = await browser.open();
  await asFirstVersion(old, false);
  const page = await another();
  expect(await intentOf(page)).toContain('Close the other tabs of Safe');
  await old.close();
  // The browser closes the tab's database a moment later.
  await expect.poll(() => intentOf(page), { timeout: 30_000 }).toBe('7');
});

test('an upgrade interrupted in the middle keeps the payments, and the next one completes', async () => {
  const { page: old, another } = await browser.open();
  await asFirstVersion(old, true);
  await old.close();
  const page = await another();
  await page.evaluate(() => {
    const real = IDBDatabase.prototype.deleteObjectStore;
    IDBDatabase.prototype.deleteObjectStore = function (name) {
      IDBDatabase.prototype.deleteObjectStore = real;
      real.call(this, name);
      throw new Error('cut off');
    };
  });
  await intentOf(page);
  expect(await intentOf(page)).toBe('7');
  const after = await another();
  expect(await intentOf(after)).toBe('7');
});
