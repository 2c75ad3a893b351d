/** Bundled into a page by the end-to-end tests of stores: gives them the real stores. */
import * as payments from '#storage/browser/payments.ts';
import * as pins from '#storage/browser/pins.ts';
import { createBrowserVaultStore } from '#storage/browser/vault-store.ts';
import { workerStore } from '#storage/browser/worker-store.ts';
import { toVaultError } from '../../../src/vault/failure.ts';
import { steps } from './steps.ts';

Object.assign(globalThis, {
  stores: {
    steps,
    payments,
    pins,
    memory: workerStore,
    vault: createBrowserVaultStore(),
    toVaultError,
  },
});
