/** The wallet inside the vault: a person's requests, and their view of the money. */
import { assertNever } from '#core/assert.ts';
import { blsSuite, type ThresholdSuite } from '#crypto/threshold-suite.ts';
import { addressOf, encodeAddress } from '#money/wallet-address.ts';
import { walletKeys, wipeWalletKeys } from '#money/wallet-keys.ts';
import {
  encodeWallet,
  mergeWallets,
  receiptBytesToText,
  type WalletState,
} from '#safe/wallet/index.ts';
import { getFacts, putIntent, type PaymentStore } from '#storage/browser/payments.ts';
import { VaultFailure } from '../failure.ts';
import type { WalletRequest, WalletContext, WalletFactory, WalletPort } from '../ports.ts';
import { createFaucetClient, type FaucetClient } from './faucet-client.ts';
import { createIncomingPayments } from './incoming-payments.ts';
import { moneyViewOf } from './money-view.ts';
import { openVerifiedSections } from './open-verified-sections.ts';
import { createOutgoingPayments, type OutgoingPayments } from './outgoing-payments.ts';
import { redeemReceipt, type Redeemer } from './redeem-receipt.ts';
import { walletNetworkId, storePayment } from './send-payment.ts';
import { openStoredWallet } from './stored-wallet.ts';
import { unreadableWallet } from './unreadable-wallet.ts';
import { createWalletScan, type WalletScan } from './wallet-scan.ts';
import { parseWalletSection, tryParseWalletSection } from './wallet-section.ts';

/** How often incoming payments are looked for while the Safe is open. */
const scanEveryMs = 3_000;
/** In a hidden tab, rarely: the browser may stop the worker in between. */
const scanHiddenMs = 60_000;

/** The wallet's external dependencies besides its context; tests pass their own. */
export interface WalletParts {
  readonly payments: PaymentStore;
  readonly sectionReader: typeof openVerifiedSections;
  readonly suite: ThresholdSuite;
}

/** Coins as a mergeable set; a damaged part is refused by the index, never dropped silently. */
export const createWalletFactory = (parts: WalletParts): WalletFactory => ({
  merge: (a, b) => encodeWallet(mergeWallets(parseWalletSection(a), parseWalletSection(b))),
  open: async (context) => {
    const stored = tryParseWalletSection(context.section);
    return stored === null ? unreadableWallet : openWallet(context, stored, parts);
  },
});

export const walletFactory: WalletFactory = createWalletFactory({
  payments: { putIntent, getFacts },
  sectionReader: openVerifiedSections,
  suite: blsSuite,
});

interface OpenWallet extends Redeemer {
  readonly outgoing: OutgoingPayments;
  readonly faucet: FaucetClient;
  readonly scan: WalletScan;
}

function openWallet(
  context: WalletContext,
  stored: WalletState,
  { payments, sectionReader, suite }: WalletParts,
): WalletPort {
  const { closed, rpc, ports } = context;
  const keys = walletKeys(context.seed.reveal());
  closed.addEventListener('abort', () => wipeWalletKeys(keys), { once: true });
  const section = sectionReader(rpc, context.network);
  const wallet = openStoredWallet(context, stored);
  const { state, change } = wallet;
  const outgoing = createOutgoingPayments({ context, keys, payments, stored: state, change });
  const incoming = createIncomingPayments({ rpc, keys, section, suite, now: ports.now, closed });
  const scan = createWalletScan(context, wallet, outgoing, incoming, () =>
    ports.visible() ? scanEveryMs : scanHiddenMs,
  );
  const faucet = createFaucetClient(context);
  void faucet.lookUp().then(context.changed, () => undefined);
  void scan.runPeriodically();
  return portOf({ context, keys, wallet, section, payments, suite, outgoing, faucet, scan });
}

function portOf(open: OpenWallet): WalletPort {
  const { context, keys, wallet, outgoing, faucet, scan } = open;
  return {
    view: () =>
      wallet.isUnreadable()
        ? unreadableWallet.view()
        : moneyViewOf({
            state: wallet.state(),
            network: context.network(),
            address: addressOf(keys),
            faucet: faucet.isKnown(),
            progress: outgoing.progress,
            unsaved: scan.unsaved(),
          }),
    ask: async (asked) =>
      wallet.isUnreadable() ? unreadableWallet.ask(asked) : ((await answer(open, asked)) as never),
    absorb: (merged) => {
      wallet.absorb(merged);
      if (!wallet.isUnreadable()) outgoing.resume();
      context.changed();
    },
    refresh: () => (wallet.isUnreadable() ? unreadableWallet.refresh() : scan.now()),
  };
}

/** @returns the reply of this kind of request */
async function answer(open: OpenWallet, request: WalletRequest): Promise<unknown> {
  const { context, keys, wallet, outgoing, faucet, scan } = open;
  switch (request.kind) {
    case 'send': {
      const paymentId = await storePayment(open, request);
      outgoing.resume();
      return { paymentId };
    }
    case 'redeem':
      return { amount: await redeemReceipt(open, request.text) };
    case 'receiptText':
      return { text: receiptTextOf(wallet.state(), request.paymentId) };
    case 'askFaucet':
      await faucet.request(() => encodeAddress(walletNetworkId(context), addressOf(keys)));
      void scan.now().catch(() => undefined);
      return null;
    default:
      return assertNever(request);
  }
}

function receiptTextOf(state: WalletState, paymentId: string): string {
  const receipt = state.payments.get(paymentId)?.receipt ?? null;
  if (receipt !== null) return receiptBytesToText(receipt);
  throw new VaultFailure('badText', 'There is a receipt once the payment is final. Wait a moment.');
}
