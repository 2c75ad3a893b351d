/** The money part of the index, as it is stored, as a wallet. */
import { equalBytes } from '#core/codec/bytes.ts';
import { decodeWallet, emptyWallet, encodeWallet, type WalletState } from '#safe/wallet/index.ts';
import { unreadableMoney } from './unreadable.ts';

/** The bytes that a wallet was read from; they need not be those that it would be written as. */
const readFrom = new WeakMap<WalletState, Uint8Array>();

/** @param known is returned when this is what it was read from or is written as: nothing is decoded then */
export const readKnown = (section: Uint8Array, known: WalletState): WalletState =>
  orThrow(readableKnown(section, known));

/** The same; null when this version of the app cannot read it. */
export function readableKnown(section: Uint8Array, known: WalletState): WalletState | null {
  if (section.length === 0) return emptyWallet;
  return equalBytes(section, readFrom.get(known) ?? encodeWallet(known))
    ? known
    : readable(section);
}

export const read = (section: Uint8Array): WalletState => orThrow(readable(section));

function orThrow(state: WalletState | null): WalletState {
  if (state === null) throw unreadableMoney();
  return state;
}

/** @returns null when this version of the app cannot read it */
export function readable(section: Uint8Array): WalletState | null {
  if (section.length === 0) return emptyWallet;
  const decoded = decodeWallet(section);
  if (!decoded.ok) return null;
  readFrom.set(decoded.value, section);
  return decoded.value;
}
