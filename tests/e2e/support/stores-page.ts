/** Pages of a real browser that contain only the real stores. */
import { resolve } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import type * as payments from '#storage/browser/payments.ts';
import type * as pins from '#storage/browser/pins.ts';
import type { VaultStore } from '#storage/browser/vault-store.ts';
import type { workerStore } from '#storage/browser/worker-store.ts';
import type { toVaultError } from '../../../src/vault/failure.ts';
import type { steps } from '../../contract/vault-store/steps.ts';
import { chromiumFlags, chromiumPath } from './person.ts';

/** The globals of the bundled entry. */
export interface Stores {
  readonly steps: typeof steps;
  readonly payments: typeof payments;
  readonly pins: typeof pins;
  readonly memory: typeof workerStore;
  readonly vault: VaultStore;
  readonly toVaultError: typeof toVaultError;
}

const origin = 'http://localhost:9';

export interface StoresBrowser {
  /** A page of a new profile, without data; `another` is one more tab of it. */
  readonly open: () => Promise<{
    readonly page: Page;
    readonly another: () => Promise<Page>;
    /** Uncaught errors of our code, in any tab. */
    readonly errors: readonly string[];
  }>;
  /** Clears the site's data like a person does in the settings. */
  readonly clear: (page: Page) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function openStores(): Promise<StoresBrowser> {
  const entry = resolve(import.meta.dirname, '../../contract/vault-store/browser-entry.ts');
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, lib: { entry, formats: ['es'], fileName: 'entry' } },
  });
  const [first] = [built].flat();
  const script = first !== undefined && 'output' in first ? first.output[0].code : '';
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: [...chromiumFlags],
  });
  return {
    open: async () => {
      const context = await browser.newContext();
      const errors: string[] = [];
      await context.route(`${origin}/**`, (route) =>
        route.request().url().endsWith('.js')
          ? route.fulfill({ contentType: 'text/javascript', body: script })
          : route.fulfill({
              contentType: 'text/html',
              body: '<!doctype html><script type="module" src="/entry.js"></script>',
            }),
      );
      const another = async (): Promise<Page> => {
        const page = await context.newPage();
        page.on('pageerror', (error) => errors.push(error.message));
        await page.goto(`${origin}/`);
        await page.waitForFunction(() => 'stores' in globalThis);
        return page;
      };
      return { page: await another(), another, errors };
    },
    clear: async (page) => {
      const session = await page.context().newCDPSession(page);
      await session.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' });
      await session.detach();
    },
    close: () => browser.close(),
  };
}
