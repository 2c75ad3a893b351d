/** Decides which payments begun elsewhere this wallet may complete as its own (PAYMENT-P8). */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import type { InputSource } from '#money/spend-certificate.ts';
import {
  contextOf,
  decodeTransaction,
  txidOf,
  type Transaction,
  type TransactionInput,
} from '#money/transaction.ts';
import type { WalletKeys } from '#money/wallet-keys.ts';
import { encodeBundle } from '../payment/index.ts';
import { maxBytesForSending } from './growth-limits.ts';
import { recoverySeed } from './plan-payment.ts';
import { addPayment } from './reserve.ts';
import { findOutput } from './scan.ts';
import { walletBytes } from './stored/wallet-bytes.ts';
import type { WalletState } from './state.ts';

/**
 * `foreign`: of another network or another seed. `dead`: another transaction has spent one of its coins.
 * `unknownCoins`: it spends what this wallet cannot prove.
 */
export type NotAdopted = 'foreign' | 'dead' | 'unknownCoins' | 'walletFull';

/**
 * Adds the payment with its coins reserved, as if it had been planned here. Its recipient is unknown: only the
 * device that made it has the address, and only the recipient can read the memo.
 * @param transaction its input signatures are verified
 * @param now ms since 1970, for display
 */
export function adoptPayment(
  keys: WalletKeys,
  networkId: Uint8Array,
  state: WalletState,
  transaction: Uint8Array,
  now: number,
): Result<WalletState, NotAdopted> {
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok || !isMadeHere(keys, networkId, decoded.value)) return err('foreign');
  const txid = txidOf(decoded.value);
  if (decoded.value.inputs.some((input) => isSpentByOther(state, input, txid))) return err('dead');
  if (state.payments.has(toHex(txid))) return ok(state);
  const sources = sourcesOf(state, decoded.value);
  if (sources === undefined) return err('unknownCoins');
  const bundle = encodeBundle({ transaction, sources, prepared: null, certificates: null });
  const amount = amountToOthers(keys, decoded.value);
  const record = { txid, amount, address: '', memo: new Uint8Array(), at: now, bundle };
  const spends = decoded.value.inputs.map(({ keyImage }) => keyImage);
  const next = addPayment(state, record, spends);
  return walletBytes(next) > maxBytesForSending ? err('walletFull') : ok(next);
}

/** Only the seed of this Safe gives this recovery key for these inputs. */
const isMadeHere = (keys: WalletKeys, networkId: Uint8Array, transaction: Transaction): boolean =>
  equalBytes(transaction.networkId, networkId) &&
  equalBytes(transaction.recoveryKey, ed25519PublicKey(recoverySeed(keys, contextOf(transaction))));

function isSpentByOther(
  { coins }: WalletState,
  { keyImage }: TransactionInput,
  txid: Uint8Array,
): boolean {
  const spentBy = coins.get(toHex(keyImage))?.spentBy ?? new Set<string>();
  return spentBy.size > 0 && !spentBy.has(toHex(txid));
}

/** One proof per input; undefined unless each is a coin of this wallet. */
function sourcesOf(
  state: WalletState,
  { inputs }: Transaction,
): readonly InputSource[] | undefined {
  const sources = inputs.flatMap(({ keyImage, oneTimeKey, amount }) => {
    const known = state.coins.get(toHex(keyImage));
    const isOurs =
      known !== undefined &&
      known.coin.amount === amount &&
      equalBytes(known.coin.oneTimeKey, oneTimeKey);
    return isOurs && known.source !== null ? [known.source] : [];
  });
  return sources.length === inputs.length ? sources : undefined;
}

const amountToOthers = (keys: WalletKeys, transaction: Transaction): bigint =>
  transaction.outputs.reduce(
    (sum, { amount }, index) =>
      findOutput(keys, transaction, index) === undefined ? sum + amount : sum,
    0n,
  );
