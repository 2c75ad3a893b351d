/**
 * Replaces the wallet while the money part of the index cannot be read: damaged, or written by a newer
 * version of the app. Files work without it. It never changes the part, and refuses to merge it.
 */
import type { MoneyView } from '#bridge/vault.ts';
import { VaultFailure } from '../failure.ts';
import type { WalletPort } from '../ports.ts';

const sentence =
  'The money part of this Safe cannot be read by this version of the app. Reload to update it; nothing was changed.';

export const unreadableMoney = (): VaultFailure => new VaultFailure('internal', sentence);

/** The balance is unknown here: show no figure. */
const view: MoneyView = {
  balance: '–',
  readable: false,
  address: '',
  addressWords: '',
  payments: [],
  faucet: false,
  notice: sentence,
};

export const unreadableWallet: WalletPort = {
  view: () => view,
  ask: () => Promise.reject(unreadableMoney()),
  // The stored section can only be deleted, or read by another version of the app.
  absorb: () => undefined,
  refresh: () => Promise.resolve(),
};
