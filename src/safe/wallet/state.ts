/**
 * The wallet as a set that merges: coins by key image, payments by txid, each with facts that only
 * grow. Two devices that wrote at once lose nothing, in whatever order their copies meet.
 */
import { assert } from '#core/assert.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import type { Source } from '#money/certificate.ts';
import type { Coin } from './coin.ts';
import { mergePlaces, type ListPlace, type ListPlaces } from './lists.ts';
import { provesCoin } from './proof.ts';
import { isWholeReceipt } from './receipt.ts';
import { sameCoin, sameFixedPart, sameSource, type FixedPart } from './same.ts';

export type { Coin } from './coin.ts';

export interface CoinRecord {
  readonly coin: Coin;
  /** The proof that it exists; dropped once the coin is spent. */
  readonly source: Source | null;
  /** Display only: milliseconds since 1970 on the device that saw it first. */
  readonly seenAt: number;
  /**
   * Txids (hex) of own payments written for it. Never taken back (R0): the coin is free again only
   * when none of them can become final any more (`deadPayments`).
   */
  readonly reservedBy: ReadonlySet<string>;
  /** Txids (hex) proven to have spent it. */
  readonly spentBy: ReadonlySet<string>;
}

export type PaymentStage = 'prepared' | 'final' | 'registered';

export interface PaymentRecord {
  readonly txid: Uint8Array;
  readonly amount: bigint;
  /** The recipient's address as it was given. */
  readonly address: string;
  readonly memo: Uint8Array;
  readonly at: number;
  /** `encodeBundle`: any device of this Safe can finish the payment. Dropped when registered. */
  readonly bundle: Uint8Array | null;
  /** `encodeReceipt`, once final. */
  readonly receipt: Uint8Array | null;
  readonly stages: ReadonlySet<PaymentStage>;
}

export interface WalletState {
  readonly coins: ReadonlyMap<string, CoinRecord>;
  readonly payments: ReadonlyMap<string, PaymentRecord>;
  readonly lists: ListPlaces;
}

export const emptyWallet: WalletState = { coins: new Map(), payments: new Map(), lists: new Map() };

/** Commutative, associative, idempotent: a join of sets. */
export const mergeWallets = (a: WalletState, b: WalletState): WalletState => ({
  coins: mergeMaps(a.coins, b.coins, mergeCoins),
  payments: mergeMaps(a.payments, b.payments, mergePayments),
  lists: mergePlaces(a.lists, b.lists),
});

/**
 * Adds a coin; `source` proves it and must have been verified.
 * @returns the same wallet when no elder would accept such a proof
 */
export function addCoin(state: WalletState, coin: Coin, source: Source, now: number): WalletState {
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

/** All that was read of some lists, together with the coins that were found there. */
export const addPlaces = (
  state: WalletState,
  places: ReadonlyMap<string, ListPlace>,
): WalletState => ({ ...state, lists: mergePlaces(state.lists, places) });

/** Is this output one of our coins already, with all that is needed to spend it? */
export function holdsOutput(state: WalletState, oneTimeKey: Uint8Array): boolean {
  for (const { coin, source, spentBy } of state.coins.values()) {
    if (!equalBytes(coin.oneTimeKey, oneTimeKey)) continue;
    return source !== null || spentBy.size > 0;
  }
  return false;
}

/** Writes a payment and reserves its coins; must be stored before anything is sent (R0). */
export function addPayment(
  state: WalletState,
  payment: Omit<PaymentRecord, 'receipt' | 'stages'>,
  spends: readonly Uint8Array[],
): WalletState {
  const txid = toHex(payment.txid);
  const reserved = spends.map((keyImage): readonly [string, CoinRecord] => {
    const known = state.coins.get(toHex(keyImage));
    assert(known !== undefined, 'a payment spends coins of this wallet');
    return [toHex(keyImage), { ...known, reservedBy: new Set([txid]) }];
  });
  const record = { ...payment, receipt: null, stages: new Set<PaymentStage>() };
  return mergeWallets(state, {
    ...emptyWallet,
    coins: new Map(reserved),
    payments: new Map([[txid, record]]),
  });
}

export function addStage(
  state: WalletState,
  txid: Uint8Array,
  stage: PaymentStage,
  receipt: Uint8Array | null = null,
): WalletState {
  return withPayment(state, txid, (known) => ({
    ...known,
    receipt: receipt ?? known.receipt,
    stages: new Set(known.stages).add(stage),
  }));
}

/** `spender` holds a verified commit certificate for this coin. */
export function addSpend(
  state: WalletState,
  keyImage: Uint8Array,
  spender: Uint8Array,
): WalletState {
  const key = toHex(keyImage);
  const by = toHex(spender);
  const known = state.coins.get(key);
  if (known === undefined) return state;
  const spent = settleCoin({ ...known, spentBy: new Set(known.spentBy).add(by) });
  return { ...state, coins: new Map(state.coins).set(key, spent) };
}

/**
 * Txids (hex) of payments that can never become final: one of their coins was spent, with proof, by
 * another transaction (R7). What reserves a coin for one of them reserves it no longer.
 */
export function deadPayments(state: WalletState): ReadonlySet<string> {
  const dead = [...replacedPayments(state)].filter((txid) => {
    const stages = state.payments.get(txid)?.stages;
    return stages?.has('final') !== true && stages?.has('registered') !== true;
  });
  return new Set(dead);
}

function replacedPayments(state: WalletState): ReadonlySet<string> {
  const replaced = new Set<string>();
  for (const { reservedBy, spentBy } of state.coins.values()) {
    if (spentBy.size === 0) continue;
    for (const txid of reservedBy) if (!spentBy.has(txid)) replaced.add(txid);
  }
  return replaced;
}

function withPayment(
  state: WalletState,
  txid: Uint8Array,
  change: (record: PaymentRecord) => PaymentRecord,
): WalletState {
  const known = state.payments.get(toHex(txid));
  if (known === undefined) return state;
  const payments = new Map(state.payments).set(toHex(txid), settlePayment(change(known)));
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
  if (a === b) return settleCoin(a);
  return settleCoin({
    coin: sameCoin(a.coin, b.coin) ? a.coin : least(a.coin, b.coin),
    source: bestSource(a, b),
    seenAt: Math.min(a.seenAt, b.seenAt),
    reservedBy: union(a.reservedBy, b.reservedBy),
    spentBy: union(a.spentBy, b.spentBy),
  });
}

function mergePayments(a: PaymentRecord, b: PaymentRecord): PaymentRecord {
  if (a === b) return settlePayment(a);
  const fixed = ({ txid, amount, address, memo }: FixedPart): FixedPart => ({
    txid,
    amount,
    address,
    memo,
  });
  return settlePayment({
    ...fixed(sameFixedPart(a, b) ? a : least(fixed(a), fixed(b))),
    at: Math.min(a.at, b.at),
    bundle: leastOrNull(a.bundle, b.bundle),
    receipt: bestReceipt(a.receipt, b.receipt),
    stages: union(a.stages, b.stages),
  });
}

/** What a fact makes needless goes; the fact itself stays, so every order ends the same. */
const settleCoin = (record: CoinRecord): CoinRecord =>
  record.spentBy.size > 0 ? { ...record, source: null } : record;

const settlePayment = (record: PaymentRecord): PaymentRecord =>
  record.stages.has('registered') ? { ...record, bundle: null } : record;

/** Two devices may hold different proofs of one thing; any rule will do if all use the same. */
const least = <T>(a: T, b: T): T => (compareBytes(encodeCbor(a), encodeCbor(b)) <= 0 ? a : b);

const leastOrNull = (a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null =>
  a === null ? b : b === null || equalBytes(a, b) ? a : least(a, b);

/** A proof that elders would refuse never stands in front of one that they accept. */
function bestSource(a: CoinRecord, b: CoinRecord): Source | null {
  if (a.source === null || b.source === null) return a.source ?? b.source;
  if (sameSource(a.source, b.source)) return a.source;
  const [ours, theirs] = [provesCoin(a.coin, a.source), provesCoin(b.coin, b.source)];
  if (ours !== theirs) return ours ? a.source : b.source;
  return least(a.source, b.source);
}

function bestReceipt(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null || equalBytes(a, b)) return a ?? b;
  const [ours, theirs] = [isWholeReceipt(a), isWholeReceipt(b)];
  if (ours !== theirs) return ours ? a : b;
  return least(a, b);
}

/**
 * Lists show one transaction's outputs one by one, and a liar may vary what the txid does not cover:
 * the proof that is here already serves all of them.
 */
function sharedSource(state: WalletState, coin: Coin, source: Source): Source {
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
