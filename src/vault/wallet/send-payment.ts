/** Plans, signs and stores a payment; it is sent only after it was stored (SPENTBOOK-R0). */
import { fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { parseAmount } from '#money/amount.ts';
import { maxMemoBytes } from '#money/transaction.ts';
import { decodeAddress } from '#money/wallet-address.ts';
import type { WalletKeys } from '#money/wallet-keys.ts';
import { encodeBundle } from '#safe/payment/index.ts';
import {
  addPayment,
  maxBytesForChange,
  maxBytesForSending,
  maxWithoutChange,
  planPayment,
  spendable,
  walletBytes,
  type WalletState,
} from '#safe/wallet/index.ts';
import { networkNotReached, VaultFailure } from '../failure.ts';
import { RpcFailure } from '../network/worker-rpc.ts';
import type { WalletContext, WalletRequest } from '../ports.ts';
import {
  addressSentence,
  badAmount,
  changelessOnly,
  memoTooLong,
  paymentNotSaved,
  planFailure,
  spentMeanwhile,
  walletFull,
} from './payment-sentences.ts';
import type { StoredWallet } from './stored-wallet.ts';

export interface Payer {
  readonly context: WalletContext;
  readonly keys: WalletKeys;
  readonly wallet: StoredWallet;
}

type SendRequest = Extract<WalletRequest, { kind: 'send' }>;
/** What is planned, besides keys, coins and entropy. */
type PaymentOrder = Omit<Parameters<typeof planPayment>[0], 'keys' | 'coins' | 'entropy'>;

interface PreparedPayment {
  readonly payment: Parameters<typeof addPayment>[1];
  readonly spends: readonly Uint8Array[];
}

/** @throws VaultFailure before the first contact with a network */
export function walletNetworkId(context: Pick<WalletContext, 'network'>): Uint8Array {
  const pinned = context.network();
  const id = pinned === null ? undefined : fromHex(pinned.networkId);
  if (id?.ok === true) return id.value;
  throw networkNotReached();
}

/** @returns the payment's id, once it is stored */
export async function storePayment(payer: Payer, request: SendRequest): Promise<string> {
  const order = paymentOrderOf(payer.context, request);
  let id = '';
  let prepared: PreparedPayment | null = null;
  await payer.wallet
    .change((now) => {
      if (prepared !== null) return reapplyPayment(now, prepared);
      const first = preparePayment(payer, order, request.address.trim(), now);
      id = toHex(first.payment.txid);
      prepared = first;
      const next = addPayment(now, first.payment, first.spends);
      if (isFull(now) && walletBytes(next) > maxBytesForSending) throw walletFull();
      return next;
    })
    .catch((error: unknown) => {
      throw error instanceof RpcFailure ? paymentNotSaved(error) : error;
    });
  return id;
}

function paymentOrderOf(context: WalletContext, request: SendRequest): PaymentOrder {
  const networkId = walletNetworkId(context);
  const address = decodeAddress(networkId, request.address.trim());
  if (!address.ok) throw new VaultFailure('badAddress', addressSentence(address.error));
  const amount = parseAmount(request.amount);
  if (!amount.ok) throw badAmount();
  const memo = utf8(request.memo);
  if (memo.length > maxMemoBytes) throw memoTooLong(maxMemoBytes);
  return { networkId, address: address.value, amount: amount.value, memo };
}

function preparePayment(
  { context, keys }: Payer,
  order: PaymentOrder,
  address: string,
  now: WalletState,
): PreparedPayment {
  const coins = spendable(now);
  const planned = planPayment({ ...order, keys, coins, entropy: context.ports.randomBytes(32) });
  if (!planned.ok) throw planFailure(planned.error);
  const { txid, spends, change } = planned.value;
  if (isFull(now) && change > 0n) throw changelessOnly(maxWithoutChange(coins));
  const bundle = encodeBundle(planned.value.bundle);
  const { amount, memo } = order;
  return { payment: { txid, amount, address, memo, at: context.ports.now(), bundle }, spends };
}

const isFull = (state: WalletState): boolean => walletBytes(state) >= maxBytesForChange;

/**
 * Reapplied when another device wrote first. The earlier write may have been stored after all, now or
 * later, so only the identical payment may follow it, or it would be paid twice.
 */
function reapplyPayment(now: WalletState, { payment, spends }: PreparedPayment): WalletState {
  if (now.payments.has(toHex(payment.txid))) return now;
  const free = new Set(spendable(now).map(({ coin }) => toHex(coin.keyImage)));
  if (!spends.every((keyImage) => free.has(toHex(keyImage)))) throw spentMeanwhile();
  return addPayment(now, payment, spends);
}
