/** The person's view of the wallet: a balance and a list, newest first. */
import { toHex } from '#core/codec/bytes.ts';
import type { PaymentStage } from '../payment/stages.ts';
import { deadPayments, spendable } from './reserve.ts';
import type { CoinRecord, PaymentRecord, WalletState } from './state.ts';

export interface Balance {
  /** Can be spent now. */
  readonly available: bigint;
  /** In coins reserved for payments that are not final. */
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

export interface HistoryItem {
  /** Txid in hex, or `genesis`. */
  readonly id: string;
  readonly direction: 'in' | 'out';
  readonly amount: bigint;
  /** The memo when it is text, else empty. */
  readonly memo: string;
  readonly at: number;
  readonly stage: PaymentStage;
  /** An adopted payment has no address: only the device that made it knows it. */
  readonly recipientUnknown: boolean;
  /** What the payment sent that was completed instead; null while this wallet does not have it. */
  readonly replacedBy: bigint | null;
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
      memo: before?.memo || memoText(coin.memo),
      at: Math.min(before?.at ?? seenAt, seenAt),
      stage: 'registered',
      recipientUnknown: false,
      replacedBy: null,
    });
  }
  const isDead = deadPayments(state);
  const outgoing = [...state.payments].map(([id, payment]): HistoryItem => ({
    id,
    direction: 'out',
    amount: payment.amount,
    memo: memoText(payment.memo),
    at: payment.at,
    stage: stageOf(payment, isDead.has(id)),
    recipientUnknown: payment.address === '',
    replacedBy: isDead.has(id) ? winnerOf(state, id) : null,
  }));
  const order = (a: HistoryItem, b: HistoryItem): number => b.at - a.at || (a.id < b.id ? -1 : 1);
  return [...incoming.values(), ...outgoing].sort(order);
}

function stageOf({ stages }: PaymentRecord, isDead: boolean): PaymentStage {
  // SPENTBOOK-R7: final stays final, whatever replies arrive later.
  if (stages.has('registered')) return 'registered';
  if (stages.has('final')) return 'final';
  if (isDead) return 'replaced';
  return stages.has('committing') ? 'committing' : 'draft';
}

/** The amount of the own payment that spent a coin of this dead one. */
function winnerOf(state: WalletState, dead: string): bigint | null {
  for (const { reservedBy, spentBy } of state.coins.values()) {
    if (!reservedBy.has(dead)) continue;
    for (const txid of spentBy) {
      const winner = state.payments.get(txid);
      if (winner !== undefined) return winner.amount;
    }
  }
  return null;
}

function memoText(memo: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(memo);
  } catch {
    return '';
  }
}

const total = (coins: readonly CoinRecord[]): bigint =>
  coins.reduce((sum, { coin }) => sum + coin.amount, 0n);
