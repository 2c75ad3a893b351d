/** Takes the money of a receipt into the wallet, and registers the payment if its payer has not. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { formatAmount } from '#money/amount.ts';
import { verifyCommitted, type CommittedTransaction } from '#money/spend-certificate.ts';
import { txidOf } from '#money/transaction.ts';
import { encodeBundle } from '#safe/payment/index.ts';
import {
  balanceOf,
  holdsOutput,
  maxBytesForChange,
  mergeWallets,
  parseReceiptText,
  scanCommitted,
  walletBytes,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { PaymentStore } from '#storage/browser/payments.ts';
import { VaultFailure } from '../failure.ts';
import type { VerifiedSections } from '../network/verified-sections.ts';
import { fetchInclusionProofs } from './fetch-inclusion-proofs.ts';
import { receiptSentence, walletFull } from './payment-sentences.ts';
import { walletNetworkId, type Payer } from './send-payment.ts';

export interface Redeemer extends Payer {
  readonly section: Pick<VerifiedSections, 'moneyKeys'>;
  readonly payments: Pick<PaymentStore, 'putIntent'>;
  readonly suite: ThresholdSuite;
}

/** @returns the amount received, as decimal text */
export async function redeemReceipt(redeemer: Redeemer, text: string): Promise<string> {
  const { context, keys, wallet } = redeemer;
  const received = await verifyReceipt(redeemer, text);
  context.closed.throwIfAborted();
  const before = balanceOf(wallet.state());
  const scanned = scanCommitted(keys, wallet.state(), received.committed, context.ports.now());
  requireNewMoney(wallet.state(), scanned, received.txid);
  await wallet.change((now) => {
    if (walletBytes(now) >= maxBytesForChange) throw walletFull();
    return mergeWallets(now, scanned);
  });
  // The payer may have stopped before registering it: the receipt's holder can finish it.
  void register(redeemer, toHex(received.txid), received.committed).catch(() => undefined);
  return formatAmount(balanceOf(wallet.state()).available - before.available);
}

async function verifyReceipt(
  { context, section, suite }: Redeemer,
  text: string,
): Promise<{ readonly committed: CommittedTransaction; readonly txid: Uint8Array }> {
  const parsed = parseReceiptText(walletNetworkId(context), text.trim());
  if (!parsed.ok) throw new VaultFailure('badText', receiptSentence(parsed.error));
  const sections = await section.moneyKeys();
  const committed = await fetchInclusionProofs(context.rpc, sections, parsed.value);
  const verified = verifyCommitted(sections, suite, committed);
  if (verified.ok) return { committed, txid: txidOf(verified.value) };
  throw new VaultFailure(
    'badText',
    'This receipt is not signed by the network. Ask the payer to copy it again.',
  );
}

function requireNewMoney(state: WalletState, scanned: WalletState, txid: Uint8Array): void {
  const paid = [...scanned.coins.values()].filter(
    ({ coin }) => coin.txid !== null && equalBytes(coin.txid, txid),
  );
  if (paid.length === 0) {
    throw new VaultFailure('badText', 'This receipt pays somebody else. Ask the payer for yours.');
  }
  if (paid.every(({ coin }) => holdsOutput(state, coin.oneTimeKey))) {
    throw new VaultFailure(
      'badText',
      'This payment is already in your balance. Nothing is missing.',
    );
  }
}

async function register(
  { context, payments }: Redeemer,
  paymentId: string,
  { transaction, certificates }: CommittedTransaction,
): Promise<void> {
  const bundle = encodeBundle({ transaction, sources: [], prepared: null, certificates });
  await payments.putIntent(paymentId, bundle);
  await context.rpc('pay', { paymentId, known: null });
}
