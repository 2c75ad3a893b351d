/** Bundled into a page by tests/e2e/browser-stores.test.ts: the real stores, within reach. */
import * as payments from '#storage/browser/payments.ts';
import { createBrowserVaultStore } from '#storage/browser/vault-store.ts';
import { steps } from './steps.ts';

Object.assign(globalThis, { stores: { steps, payments, vault: createBrowserVaultStore() } });
