/**
 * The wallet as a mergeable set: coins by key image, payments by txid, each with facts that only grow.
 * Copies of two concurrent devices merge without loss, in any order.
 */
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import type { InputSource } from '#money/spend-certificate.ts';
import type { PaymentStage } from '../payment/stages.ts';
import type { Coin } from './coin.ts';
import { mergeListPositions, type ListPosition, type ListPositions } from './list-positions.ts';
import { provesCoin } from './coin-proof.ts';
import { isCompleteReceipt } from './receipt.ts';
import { sameCoin, sameTerms, sameSource, type PaymentTerms } from './equality.ts';

export type { Coin } from './coin.ts';

export interface CoinRecord {
  readonly coin: Coin;
  /** The proof of existence; dropped once the coin is spent. */
  readonly source: InputSource | null;
  /** Display only: milliseconds since 1970 on the first device that saw it. */
  readonly seenAt: number;
  /**
   * Txids (hex) of own payments that reserve it. Never removed (SPENTBOOK-R0): the coin is free again only when none
   * of them can become final any longer (`deadPayments`).
   */
  readonly reservedBy: ReadonlySet<string>;
  /** Txids (hex) proven to have spent it. */
  readonly spentBy: ReadonlySet<string>;
}

/** Stages that leave a fact in the wallet; the others follow from the rest of it. */
export type StoredStage = Extract<PaymentStage, 'committing' | 'final' | 'registered'>;

export interface PaymentRecord {
  readonly txid: Uint8Array;
  readonly amount: bigint;
  /** The recipient's address as entered; empty for an adopted payment (adopt-payment.ts). */
  readonly address: string;
  readonly memo: Uint8Array;
  readonly at: number;
  /** `encodeBundle`: any device of this Safe can finish the payment. Dropped when registered. */
  readonly bundle: Uint8Array | null;
  /** `encodeReceipt`, once final. */
  readonly receipt: Uint8Array | null;
  readonly stages: ReadonlySet<StoredStage>;
}

export interface WalletState {
  readonly coins: ReadonlyMap<string, CoinRecord>;
  readonly payments: ReadonlyMap<string, PaymentRecord>;
  readonly lists: ListPositions;
}

export const emptyWallet: WalletState = { coins: new Map(), payments: new Map(), lists: new Map() };

/** Commutative, associative, idempotent: a join of sets. */
export const mergeWallets = (a: WalletState, b: WalletState): WalletState => ({
  coins: mergeMaps(a.coins, b.coins, mergeCoins),
  payments: mergeMaps(a.payments, b.payments, mergePayments),
  lists: mergeListPositions(a.lists, b.lists),
});

/**
 * Adds a coin; `source` proves it and must have been verified.
 * @returns the same wallet when no elder would accept such a proof
 */
export function addCoin(
  state: WalletState,
  coin: Coin,
  source: InputSource,
  now: number,
): WalletState {
  if (!provesCoin(coin, source)) return state;
  const record: CoinRecord = {
    coin,
    source: sharedSource(state, coin, source),
    seenAt: now,
    reservedBy: new Set(),
    spentBy: new Set(),
  };
  const key = toHex(coin.keyImage);
  const known = state.coins.get(key);
  const next = known === undefined ? record : mergeCoins(known, record);
  return { ...state, coins: new Map(state.coins).set(key, next) };
}

/** Adds list positions, together with the coins found up to there. */
export const addListPositions = (
  state: WalletState,
  positions: ReadonlyMap<string, ListPosition>,
): WalletState => ({ ...state, lists: mergeListPositions(state.lists, positions) });

/** Is this output already one of our coins, with everything needed to spend it? */
export function holdsOutput(state: WalletState, oneTimeKey: Uint8Array): boolean {
  for (const { coin, source, spentBy } of state.coins.values()) {
    if (!equalBytes(coin.oneTimeKey, oneTimeKey)) continue;
    return source !== null || spentBy.size > 0;
  }
  return false;
}

export function addStage(
  state: WalletState,
  txid: Uint8Array,
  stage: StoredStage,
  receipt: Uint8Array | null = null,
): WalletState {
  return withPayment(state, txid, (known) => ({
    ...known,
    receipt: receipt ?? known.receipt,
    stages: new Set(known.stages).add(stage),
  }));
}

/** The caller has a verified commit certificate of `spender` for this coin. */
export function addSpend(
  state: WalletState,
  keyImage: Uint8Array,
  spender: Uint8Array,
): WalletState {
  const key = toHex(keyImage);
  const by = toHex(spender);
  const known = state.coins.get(key);
  if (known === undefined) return state;
  const spent = dropNeedlessSource({ ...known, spentBy: new Set(known.spentBy).add(by) });
  return { ...state, coins: new Map(state.coins).set(key, spent) };
}

function withPayment(
  state: WalletState,
  txid: Uint8Array,
  change: (record: PaymentRecord) => PaymentRecord,
): WalletState {
  const known = state.payments.get(toHex(txid));
  if (known === undefined) return state;
  const payments = new Map(state.payments).set(toHex(txid), dropNeedlessBundle(change(known)));
  return { ...state, payments };
}

function mergeMaps<T>(
  a: ReadonlyMap<string, T>,
  b: ReadonlyMap<string, T>,
  join: (a: T, b: T) => T,
): ReadonlyMap<string, T> {
  const merged = new Map(a);
  for (const [key, theirs] of b) {
    const ours = merged.get(key);
    merged.set(key, ours === undefined ? theirs : join(ours, theirs));
  }
  return new Map([...merged].sort(([x], [y]) => (x < y ? -1 : 1)));
}

function mergeCoins(a: CoinRecord, b: CoinRecord): CoinRecord {
  if (a === b) return dropNeedlessSource(a);
  return dropNeedlessSource({
    coin: sameCoin(a.coin, b.coin) ? a.coin : least(a.coin, b.coin),
    source: bestSource(a, b),
    seenAt: Math.min(a.seenAt, b.seenAt),
    reservedBy: union(a.reservedBy, b.reservedBy),
    spentBy: union(a.spentBy, b.spentBy),
  });
}

function mergePayments(a: PaymentRecord, b: PaymentRecord): PaymentRecord {
  if (a === b) return dropNeedlessBundle(a);
  const termsOf = ({ txid, amount, address, memo }: PaymentTerms): PaymentTerms => ({
    txid,
    amount,
    address,
    memo,
  });
  return dropNeedlessBundle({
    ...(sameTerms(a, b) ? termsOf(a) : bestTerms(termsOf(a), termsOf(b))),
    at: Math.min(a.at, b.at),
    bundle: leastOrNull(a.bundle, b.bundle),
    receipt: bestReceipt(a.receipt, b.receipt),
    stages: union(a.stages, b.stages),
  });
}

/** Drops data made redundant by a fact; the fact itself stays, so every order gives the same result. */
const dropNeedlessSource = (record: CoinRecord): CoinRecord =>
  record.spentBy.size > 0 ? { ...record, source: null } : record;

const dropNeedlessBundle = (record: PaymentRecord): PaymentRecord =>
  record.stages.has('registered') ? { ...record, bundle: null } : record;

/** Two devices may have different proofs of one thing; any rule works if all devices use the same. */
const least = <T>(a: T, b: T): T => (compareBytes(encodeCbor(a), encodeCbor(b)) <= 0 ? a : b);

const leastOrNull = (a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null =>
  a === null ? b : b === null || equalBytes(a, b) ? a : least(a, b);

/** The device that planned a payment knows its recipient and memo; one that adopted it does not. */
function bestTerms(a: PaymentTerms, b: PaymentTerms): PaymentTerms {
  if ((a.address === '') !== (b.address === '')) return a.address === '' ? b : a;
  return least(a, b);
}

/** A proof that elders accept always beats one they would refuse. */
function bestSource(a: CoinRecord, b: CoinRecord): InputSource | null {
  if (a.source === null || b.source === null) return a.source ?? b.source;
  if (sameSource(a.source, b.source)) return a.source;
  const [ours, theirs] = [provesCoin(a.coin, a.source), provesCoin(b.coin, b.source)];
  if (ours !== theirs) return ours ? a.source : b.source;
  return least(a.source, b.source);
}

function bestReceipt(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null || equalBytes(a, b)) return a ?? b;
  const [ours, theirs] = [isCompleteReceipt(a), isCompleteReceipt(b)];
  if (ours !== theirs) return ours ? a : b;
  return least(a, b);
}

/**
 * Lists contain the outputs of one transaction separately, and a dishonest elder may vary the parts that
 * the txid does not cover: reuse the stored proof for all of them.
 */
function sharedSource(state: WalletState, coin: Coin, source: InputSource): InputSource {
  if (source.kind === 'genesis' || coin.txid === null) return source;
  for (const { coin: other, source: kept } of state.coins.values()) {
    if (kept?.kind !== 'committed' || other.txid === null) continue;
    if (!equalBytes(other.txid, coin.txid)) continue;
    const { transaction, certificates } = kept;
    return { kind: 'committed', transaction, certificates, index: source.index };
  }
  return source;
}

const union = <T extends string>(a: ReadonlySet<T>, b: ReadonlySet<T>): ReadonlySet<T> =>
  new Set([...a, ...b].sort());
