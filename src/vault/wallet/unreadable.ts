/**
 * Stands for the wallet while the money part of the index cannot be read: damaged, or written by a newer
 * version of the app. Files need none of it. It never changes the part, and merging it is refused.
 */
import type { MoneyView } from '#bridge/vault.ts';
import { VaultFailure } from '../failure.ts';
import type { WalletPort } from '../ports.ts';

const sentence =
  'The money part of this Safe cannot be read by this version of the app. Reload to update it; nothing was changed.';

export const unreadableMoney = (): VaultFailure => new VaultFailure('internal', sentence);

/** How much there is, nobody knows here: no figure is shown for it. */
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
  // What is stored here can only be forgotten, or read by another version of the app.
  absorb: () => undefined,
  refresh: () => Promise.resolve(),
};
