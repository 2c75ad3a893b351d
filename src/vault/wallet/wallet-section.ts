/** Converts between the stored money part of the index and a wallet. */
import { equalBytes } from '#core/codec/bytes.ts';
import { decodeWallet, emptyWallet, encodeWallet, type WalletState } from '#safe/wallet/index.ts';
import { unreadableMoney } from './unreadable-wallet.ts';

/** The bytes that a wallet was read from; encoding it may give other bytes. */
const parsedFrom = new WeakMap<WalletState, Uint8Array>();

/** @param known is returned when its source or its encoding equals the section: nothing is decoded then */
export const parseWalletSectionUnlessKnown = (
  section: Uint8Array,
  known: WalletState,
): WalletState => orThrow(tryParseWalletSectionUnlessKnown(section, known));

/** The same; null when this version of the app cannot read it. */
export function tryParseWalletSectionUnlessKnown(
  section: Uint8Array,
  known: WalletState,
): WalletState | null {
  if (section.length === 0) return emptyWallet;
  return equalBytes(section, parsedFrom.get(known) ?? encodeWallet(known))
    ? known
    : tryParseWalletSection(section);
}

export const parseWalletSection = (section: Uint8Array): WalletState =>
  orThrow(tryParseWalletSection(section));

function orThrow(state: WalletState | null): WalletState {
  if (state === null) throw unreadableMoney();
  return state;
}

/** @returns null when this version of the app cannot read it */
export function tryParseWalletSection(section: Uint8Array): WalletState | null {
  if (section.length === 0) return emptyWallet;
  const decoded = decodeWallet(section);
  if (!decoded.ok) return null;
  parsedFrom.set(decoded.value, section);
  return decoded.value;
}
