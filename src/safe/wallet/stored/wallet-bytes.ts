/** Computes the encoded size of a wallet without encoding it: needed for every coin found. */
import { utf8 } from '#core/codec/bytes.ts';
import type { ListPosition } from '../list-positions.ts';
import { proofsOf } from './proof-table.ts';
import type { CoinRecord, PaymentRecord, WalletState } from '../state.ts';

const countBytes = 4;
const sizes = new WeakMap<WalletState, number>();

/** Its size in the index: the length of `encodeWallet`. */
export function walletBytes(state: WalletState): number {
  const known = sizes.get(state);
  if (known !== undefined) return known;
  let bytes = 1 + 4 * countBytes;
  for (const proof of proofsOf(state.coins.values()).values()) bytes += proof.length;
  for (const coin of state.coins.values()) bytes += coinBytes(coin);
  for (const payment of state.payments.values()) bytes += paymentBytes(payment);
  for (const place of state.lists.values()) bytes += listPositionBytes(place);
  sizes.set(state, bytes);
  return bytes;
}

const sized = (length: number): number => countBytes + length;
const optional = (bytes: Uint8Array | null): number =>
  1 + (bytes === null ? 0 : sized(bytes.length));

function coinBytes({ coin, source, reservedBy, spentBy }: CoinRecord): number {
  const key = 1 + (coin.key.kind === 'genesis' ? 0 : 32);
  const txid = 1 + (coin.txid === null ? 0 : 32);
  const proof = 1 + (source?.kind === 'committed' ? 4 + 1 : 0);
  const txids = 2 * countBytes + 32 * (reservedBy.size + spentBy.size);
  return 32 + 32 + 8 + key + txid + sized(coin.memo.length) + 8 + proof + txids;
}

const paymentBytes = ({ address, memo, bundle, receipt }: PaymentRecord): number =>
  32 +
  8 +
  sized(utf8(address).length) +
  sized(memo.length) +
  8 +
  optional(bundle) +
  optional(receipt) +
  1;

const listPositionBytes = ({ skipped }: ListPosition): number =>
  32 + 4 + 8 + 1 + (skipped === null ? 0 : 8 + 8);
