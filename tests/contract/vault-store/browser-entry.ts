/** Bundled into a page by the end-to-end tests of stores: the real stores, within reach. */
import * as payments from '#storage/browser/payments.ts';
import * as pins from '#storage/browser/pins.ts';
import { createBrowserVaultStore } from '#storage/browser/vault-store.ts';
import { memory } from '../../../src/service-worker/memory.ts';
import { toVaultError } from '../../../src/vault/failure.ts';
import { steps } from './steps.ts';

Object.assign(globalThis, {
  stores: { steps, payments, pins, memory, vault: createBrowserVaultStore(), toVaultError },
});
