/** The wallet as stored in the index: changes become visible here once they are durable. */
import { encodeWallet, mergeWallets, type WalletState } from '#safe/wallet/index.ts';
import type { WalletContext } from '../ports.ts';
import {
  parseWalletSectionUnlessKnown,
  tryParseWalletSectionUnlessKnown,
} from './wallet-section.ts';

export interface StoredWallet {
  /** Contains only stored facts, so any of it may be sent to the network. */
  readonly state: () => WalletState;
  /** Another device has stored a money part that this version cannot read. */
  readonly isUnreadable: () => boolean;
  /** Changes the stored wallet, merging other tabs' changes; visible here once durable, or not at all. */
  readonly change: (apply: (stored: WalletState) => WalletState) => Promise<void>;
  /** Merges a section that another tab or device has stored. */
  readonly absorb: (section: Uint8Array) => void;
}

export function openStoredWallet(
  context: Pick<WalletContext, 'update' | 'changed'>,
  stored: WalletState,
): StoredWallet {
  let state = stored;
  let isUnreadable = false;
  const mergeStored = (now: WalletState): void => {
    if (now !== state) state = mergeWallets(state, now);
  };
  return {
    state: () => state,
    isUnreadable: () => isUnreadable,
    change: async (apply) => {
      let [before, next] = [state, state];
      const section = await context.update((current) => {
        before = parseWalletSectionUnlessKnown(current, state);
        next = apply(before);
        return next === before ? current : encodeWallet(next);
      });
      const now = parseWalletSectionUnlessKnown(section, next);
      // A change only adds facts: a result made from this very wallet contains all of them.
      if (now === next && before === state) state = next;
      else mergeStored(now);
      context.changed();
    },
    absorb: (section) => {
      const known = tryParseWalletSectionUnlessKnown(section, state);
      isUnreadable = known === null;
      if (known !== null) mergeStored(known);
    },
  };
}
