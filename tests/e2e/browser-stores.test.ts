/** Goal: in a real browser the stores keep their promises, over reloads and between tabs. */
import { resolve } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type * as payments from '#storage/browser/payments.ts';
import type { VaultStore } from '#storage/browser/vault-store.ts';
import { steps } from '../contract/vault-store/steps.ts';
import { chromiumFlags, chromiumPath } from './support/person.ts';

/** What the bundled entry puts on the page. */
declare const stores: {
  readonly steps: typeof steps;
  readonly payments: typeof payments;
  readonly vault: VaultStore;
};

let script = '';
let browser: Browser;
let context: BrowserContext;

beforeAll(async () => {
  const entry = resolve(import.meta.dirname, '../contract/vault-store/browser-entry.ts');
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, lib: { entry, formats: ['es'], fileName: 'entry' } },
  });
  const [first] = [built].flat();
  if (first !== undefined && 'output' in first) script = first.output[0].code;
  browser = await chromium.launch({ executablePath: chromiumPath, args: [...chromiumFlags] });
});
afterAll(() => browser.close());

// A context of its own is a profile of its own: every test begins without data.
beforeEach(async () => {
  context = await browser.newContext();
  await context.route('http://localhost:9/**', (route) =>
    route.request().url().endsWith('.js')
      ? route.fulfill({ contentType: 'text/javascript', body: script })
      : route.fulfill({
          contentType: 'text/html',
          body: '<!doctype html><script type="module" src="/entry.js"></script>',
        }),
  );
});
afterEach(() => context.close());

async function openPage(): Promise<Page> {
  const page = await context.newPage();
  await page.goto('http://localhost:9/');
  await page.waitForFunction(() => 'stores' in globalThis);
  return page;
}

test.each(Object.keys(steps))('in IndexedDB: %s', async (sentence) => {
  const page = await openPage();
  await page.evaluate(async (name) => stores.steps[name]?.(stores.vault), sentence);
});

test('the device key survives a reload, cannot be read out, and is the same in two tabs', async () => {
  const [one, two] = [await openPage(), await openPage()];
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
  const page = await openPage();
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

test('payments of version 0.1 are still there, without its plain places in the lists', async () => {
  const page = await openPage();
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

test('data of a newer version is refused with a sentence and left as it is', async () => {
  const page = await openPage();
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
