/** A wallet's address as text: bech32m `safe1…` = version ‖ network ‖ K_s ‖ K_v. */
import { Reader, Writer, equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { decodeBech32m, encodeBech32m } from '#crypto/bech32m.ts';
import { decodePoint } from '#crypto/ristretto.ts';
import type { ViewKeys } from './wallet-keys.ts';

const textPrefix = 'safe';
const addressVersion = 1;
/** Long enough that a person's two networks never share it; short enough to type. */
export const NETWORK_PREFIX_BYTES = 8;

export interface Address {
  /** K_s, ristretto255. */
  readonly spendKey: Uint8Array;
  /** K_v, X25519. */
  readonly viewKey: Uint8Array;
}

export type AddressError = 'mistyped' | 'wrongNetwork' | 'wrongVersion';

export const addressOf = ({ spendKey, viewKey }: ViewKeys): Address => ({ spendKey, viewKey });

export function encodeAddress(networkId: Uint8Array, address: Address): string {
  const bytes = new Writer()
    .u8(addressVersion)
    .fixed(networkId.slice(0, NETWORK_PREFIX_BYTES), NETWORK_PREFIX_BYTES)
    .fixed(address.spendKey, 32)
    .fixed(address.viewKey, 32)
    .finish();
  return encodeBech32m(textPrefix, bytes);
}

/** @returns the address, or why this text is not one of this network. */
export function decodeAddress(networkId: Uint8Array, text: string): Result<Address, AddressError> {
  const decoded = decodeBech32m(textPrefix, text);
  if (!decoded.ok) return decoded;
  const reader = new Reader(decoded.value);
  // Check the version first: a later one may be longer, and is not a typing mistake.
  if (reader.u8() !== addressVersion) return err('wrongVersion');
  const network = reader.fixed(NETWORK_PREFIX_BYTES);
  const spendKey = reader.fixed(32);
  const viewKey = reader.fixed(32);
  if (!reader.finish() || decodePoint(spendKey) === undefined) return err('mistyped');
  if (!equalBytes(network, networkId.slice(0, NETWORK_PREFIX_BYTES))) return err('wrongNetwork');
  return ok({ spendKey, viewKey });
}
