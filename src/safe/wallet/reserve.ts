/** Decides which coins are free, and which a payment reserves (SPENTBOOK-R0). */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  emptyWallet,
  mergeWallets,
  type CoinRecord,
  type PaymentRecord,
  type StoredStage,
  type WalletState,
} from './state.ts';

/** Proven, not spent, and not promised to a payment that may still become final. */
export function spendable(state: WalletState): readonly CoinRecord[] {
  const dead = deadPayments(state);
  return [...state.coins.values()].filter(
    ({ source, reservedBy, spentBy }) =>
      source !== null && spentBy.size === 0 && [...reservedBy].every((txid) => dead.has(txid)),
  );
}

/** Adds a payment and reserves its coins; must be stored before anything is sent (SPENTBOOK-R0). */
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
  const record = { ...payment, receipt: null, stages: new Set<StoredStage>() };
  return mergeWallets(state, {
    ...emptyWallet,
    coins: new Map(reserved),
    payments: new Map([[txid, record]]),
  });
}

/**
 * Txids (hex) of payments that can never become final: another transaction provably spent one of their
 * coins (SPENTBOOK-R7). Their reservations no longer count.
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
