/** What a person sees of the wallet: a balance and a list, newest first. */
import { toHex } from '#core/codec/bytes.ts';
import { spendable } from './plan.ts';
import { deadPayments, type CoinRecord, type PaymentRecord, type WalletState } from './state.ts';

export interface Balance {
  /** Can be spent now. */
  readonly available: bigint;
  /** In coins promised to payments that are not final. */
  readonly reserved: bigint;
}

export function balanceOf(state: WalletState): Balance {
  const free = spendable(state);
  const known = new Set(free);
  const reserved = [...state.coins.values()].filter(
    (each) => each.reservedBy.size > 0 && each.spentBy.size === 0 && !known.has(each),
  );
  return { available: total(free), reserved: total(reserved) };
}

export type HistoryState = 'draft' | 'committing' | 'final' | 'registered' | 'replaced';

export interface HistoryItem {
  /** Txid in hex, or `genesis`. */
  readonly id: string;
  readonly direction: 'in' | 'out';
  readonly amount: bigint;
  /** The memo when it is text, else empty. */
  readonly memo: string;
  readonly at: number;
  readonly state: HistoryState;
}

export function historyOf(state: WalletState): readonly HistoryItem[] {
  const incoming = new Map<string, HistoryItem>();
  for (const { coin, seenAt } of state.coins.values()) {
    const id = coin.txid === null ? 'genesis' : toHex(coin.txid);
    if (state.payments.has(id)) continue; // Change of our own payment.
    const before = incoming.get(id);
    incoming.set(id, {
      id,
      direction: 'in',
      amount: (before?.amount ?? 0n) + coin.amount,
      memo: before?.memo || textOf(coin.memo),
      at: Math.min(before?.at ?? seenAt, seenAt),
      state: 'registered',
    });
  }
  const dead = deadPayments(state);
  const outgoing = [...state.payments].map(([id, payment]): HistoryItem => ({
    id,
    direction: 'out',
    amount: payment.amount,
    memo: textOf(payment.memo),
    at: payment.at,
    state: stageOf(payment, dead.has(id)),
  }));
  const order = (a: HistoryItem, b: HistoryItem): number => b.at - a.at || (a.id < b.id ? -1 : 1);
  return [...incoming.values(), ...outgoing].sort(order);
}

function stageOf({ stages }: PaymentRecord, dead: boolean): HistoryState {
  // R7: final is final, whatever was said later.
  if (stages.has('registered')) return 'registered';
  if (stages.has('final')) return 'final';
  if (dead) return 'replaced';
  return stages.has('prepared') ? 'committing' : 'draft';
}

function textOf(memo: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(memo);
  } catch {
    return '';
  }
}

const total = (coins: readonly CoinRecord[]): bigint =>
  coins.reduce((sum, { coin }) => sum + coin.amount, 0n);
