/** Plans a payment: every coin, amount and random byte is fixed before anything is sent (SPENTBOOK-R0). */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { hkdf } from '#crypto/hash.ts';
import { addressOf, type Address } from '#money/wallet-address.ts';
import { MAX_AMOUNT } from '#money/amount.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import { genesisKeyPair, type WalletKeys } from '#money/wallet-keys.ts';
import { oneTimeSecret } from '#money/one-time-outputs.ts';
import { encodeTransaction, maxInputs, maxMemoBytes, txidOf } from '#money/transaction.ts';
import type { PaymentBundle } from '../payment/index.ts';
import type { Coin, CoinRecord } from './state.ts';

export interface PaymentOrder {
  readonly keys: WalletKeys;
  readonly networkId: Uint8Array;
  readonly coins: readonly CoinRecord[];
  readonly address: Address;
  /** In smallest parts, > 0. */
  readonly amount: bigint;
  /** Voluntary; the network asks for none yet. */
  readonly fee?: bigint;
  /** At most 64 bytes. */
  readonly memo: Uint8Array;
  /** 32 fresh bytes. */
  readonly entropy: Uint8Array;
}

export interface PaymentIntent {
  readonly txid: Uint8Array;
  readonly bundle: PaymentBundle;
  /** Key images of the coins it spends. */
  readonly spends: readonly Uint8Array[];
  /** What comes back to this wallet as a new coin. */
  readonly change: bigint;
  /** N45: with more than one coin the wallet's device lease is needed. */
  readonly severalInputs: boolean;
}

export type PlanError =
  | { readonly kind: 'badAmount' }
  | { readonly kind: 'memoTooLong'; readonly maxBytes: number }
  | { readonly kind: 'badAddress' }
  | { readonly kind: 'notEnough'; readonly available: bigint; readonly needed: bigint }
  /** The money is there, in too many small coins; `possible` is the most one payment can carry. */
  | { readonly kind: 'tooManyInputs'; readonly possible: bigint };

export function planPayment(order: PaymentOrder): Result<PaymentIntent, PlanError> {
  const { keys, networkId, address, amount, memo, entropy } = order;
  const fee = order.fee ?? 0n;
  const needed = amount + fee;
  if (amount <= 0n || fee < 0n || needed > MAX_AMOUNT) return err({ kind: 'badAmount' });
  if (memo.length > maxMemoBytes) return err({ kind: 'memoTooLong', maxBytes: maxMemoBytes });
  // Elders may still hold votes of a dead payment for a coin that it freed: such coins come last.
  const unreserved = chooseCoins(order.coins.filter(isUnreserved), needed);
  const chosen = unreserved.ok ? unreserved : chooseCoins(order.coins, needed);
  if (!chosen.ok) return chosen;

  const spent = chosen.value.reduce((sum, { coin }) => sum + coin.amount, 0n);
  const change = spent - needed;
  const outputs = [{ address, amount, memo }];
  if (change > 0n)
    outputs.push({ address: addressOf(keys), amount: change, memo: new Uint8Array() });
  const inputs = chosen.value.map(({ coin }) => ({ ...coin, secret: coinSecret(keys, coin) }));
  const transaction = buildTransaction({
    networkId,
    inputs,
    outputs,
    fee,
    recoveryKey: (context) => ed25519PublicKey(recoverySeed(keys, context)),
    entropy,
  });
  for (const { secret } of inputs) secret.fill(0);
  if (transaction === undefined) return err({ kind: 'badAddress' });

  const sourceByCoin = new Map(
    chosen.value.map(({ coin, source }) => [toHex(coin.keyImage), source]),
  );
  const sources = transaction.inputs.map(({ keyImage }) => {
    const source = sourceByCoin.get(toHex(keyImage));
    assert(source !== undefined && source !== null, 'a spendable coin has its proof');
    return source;
  });
  return ok({
    txid: txidOf(transaction),
    bundle: {
      transaction: encodeTransaction(transaction),
      sources,
      prepared: null,
      certificates: null,
    },
    spends: transaction.inputs.map(({ keyImage }) => keyImage),
    change,
    severalInputs: transaction.inputs.length > 1,
  });
}

/** The most that one payment of these coins can carry, which is without change: it spends each whole. */
export function maxWithoutChange(coins: readonly CoinRecord[]): bigint {
  const unreserved = coins.filter(isUnreserved);
  return total(bySize(unreserved.length > 0 ? unreserved : coins).slice(0, maxInputs));
}

/** p of one of our coins, 32 bytes little-endian. */
export const coinSecret = (keys: WalletKeys, coin: Coin): Uint8Array =>
  coin.key.kind === 'genesis'
    ? genesisKeyPair(keys.seed.reveal()).secret.reveal()
    : oneTimeSecret(keys, coin.key.tweak);

/** The seed of a transaction's recovery key: found again from its inputs alone. */
export const recoverySeed = (keys: WalletKeys, context: Uint8Array): Uint8Array =>
  hkdf(keys.seed.reveal(), context, 'safe/v1/wallet/recovery', 32);

/** One coin if one suffices (the smallest such), else the fewest, largest first (N45). */
function chooseCoins(
  coins: readonly CoinRecord[],
  needed: bigint,
): Result<readonly CoinRecord[], PlanError> {
  const ordered = bySize(coins);
  const single = ordered.findLast(({ coin }) => coin.amount >= needed);
  if (single !== undefined) return ok([single]);
  const largest = ordered.slice(0, maxInputs);
  const possible = total(largest);
  if (possible < needed) {
    const available = total(ordered);
    return err(
      available < needed
        ? { kind: 'notEnough', available, needed }
        : { kind: 'tooManyInputs', possible },
    );
  }
  const chosen: CoinRecord[] = [];
  for (const coin of largest) {
    if (total(chosen) >= needed) break;
    chosen.push(coin);
  }
  return ok(chosen);
}

const isUnreserved = ({ reservedBy }: CoinRecord): boolean => reservedBy.size === 0;

/** Those with their proof, largest first. */
const bySize = (coins: readonly CoinRecord[]): readonly CoinRecord[] =>
  coins
    .filter(({ source }) => source !== null)
    .sort((a, b) => (a.coin.amount < b.coin.amount ? 1 : a.coin.amount > b.coin.amount ? -1 : 0));

const total = (coins: readonly CoinRecord[]): bigint =>
  coins.reduce((sum, { coin }) => sum + coin.amount, 0n);
