/** The wallet inside the vault: what a person asks of it, and what they see. */
import type { MoneyView, PaymentView } from '#bridge/vault.ts';
import { equalBytes, fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { englishWords } from '#crypto/bip39.ts';
import { labelledHash } from '#crypto/hash.ts';
import { blsSuite, type ThresholdSuite } from '#crypto/threshold-suite.ts';
import { addressOf, decodeAddress, encodeAddress } from '#money/address.ts';
import { formatAmount, parseAmount } from '#money/amount.ts';
import { verifyCommitted, type CommittedTransaction } from '#money/certificate.ts';
import { walletKeys, wipeWalletKeys } from '#money/keys.ts';
import { maxMemoBytes, txidOf } from '#money/transaction.ts';
import { encodeBundle } from '#safe/payment/index.ts';
import {
  addPayment,
  balanceOf,
  encodeWallet,
  historyOf,
  holdsOutput,
  maxLeavingBytes,
  maxOwnBytes,
  mergeWallets,
  parseReceiptText,
  planPayment,
  receiptBytesToText,
  scanCommitted,
  spendable,
  takesIn,
  walletBytes,
  wholeCoins,
  type HistoryItem,
  type HistoryState,
  type WalletState,
} from '#safe/wallet/index.ts';
import { getFacts, putIntent, type PaymentStore } from '#storage/browser/payments.ts';
import { notMet, toVaultError, VaultFailure } from '../failure.ts';
import { readNetworkFile } from '../network-file.ts';
import type { MoneyRequest, WalletContext, WalletFactory, WalletPort } from '../ports.ts';
import { RpcFailure } from '../rpc.ts';
import { createIncoming } from './incoming.ts';
import { createOutgoing } from './outgoing.ts';
import { withPaths } from './paths.ts';
import { createSectionReader } from './section.ts';
import {
  addressSentence,
  badAmount,
  leftSentence,
  notTakenIn,
  notWrittenDown,
  onlyWholeCoins,
  planFailure,
  receiptSentence,
  sentenceOf,
  spentMeanwhile,
  walletFull,
} from './sentences.ts';
import { read, readable, readableKnown, readKnown } from './stored.ts';
import { unreadableWallet } from './unreadable.ts';

/** How often incoming payments are looked for while the Safe is open. */
const lookEveryMs = 3_000;
/** Nobody is looking: the browser may put the worker to sleep in between. */
const lookHiddenMs = 60_000;
const fingerprintWords = 4;

/** What the wallet takes from the world besides its context; tests give their own. */
export interface WalletParts {
  readonly payments: PaymentStore;
  readonly sectionReader: typeof createSectionReader;
  readonly suite: ThresholdSuite;
}

/** Coins as a set that merges; a damaged part is refused by the index, never dropped silently. */
export const createWalletFactory = (parts: WalletParts): WalletFactory => ({
  merge: (a, b) => encodeWallet(mergeWallets(read(a), read(b))),
  open: async (context) => {
    const stored = readable(context.section);
    return stored === null ? unreadableWallet : openWallet(context, stored, parts);
  },
});

export const walletFactory: WalletFactory = createWalletFactory({
  payments: { putIntent, getFacts },
  sectionReader: createSectionReader,
  suite: blsSuite,
});

function openWallet(
  context: WalletContext,
  stored: WalletState,
  { payments, sectionReader, suite }: WalletParts,
): WalletPort {
  const { closed } = context;
  const keys = walletKeys(context.seed.reveal());
  closed.addEventListener('abort', () => wipeWalletKeys(keys), { once: true });
  const section = sectionReader(context.rpc, context.network);
  /** Nothing is in it that is not stored: whatever reads it may go to the network. */
  let state = stored;
  let faucetPath: string | null = null;
  /** Another device has written a money part that this version cannot read. */
  let isUnreadable = false;

  const learn = (stored: WalletState): void => {
    if (stored !== state) state = mergeWallets(state, stored);
  };

  /** Changes what is stored, also by another tab; seen here once that is durable, or not at all. */
  const change = async (apply: (stored: WalletState) => WalletState): Promise<void> => {
    let [before, next] = [state, state];
    const stored = await context.update((section) => {
      before = readKnown(section, state);
      next = apply(before);
      return next === before ? section : encodeWallet(next);
    });
    const now = readKnown(stored, next);
    // A change only adds: what was made of this very wallet has all of it.
    if (now === next && before === state) state = next;
    else learn(now);
    context.changed();
  };

  const outgoing = createOutgoing({ context, keys, payments, stored: () => state, change });
  const incoming = createIncoming({
    rpc: context.rpc,
    keys,
    section,
    suite,
    now: context.ports.now,
    closed,
  });

  /** What arrived and could not be written down; empty when nothing waits for that. */
  let unsaved = '';
  const tellUnsaved = (sentence: string): void => {
    if (closed.aborted || sentence === unsaved) return;
    unsaved = sentence;
    context.changed();
  };

  const look = async (): Promise<void> => {
    outgoing.goOn();
    await incoming.look(state, (found) =>
      change((now) => mergeWallets(now, found)).catch((error: unknown) => {
        const reason = error instanceof RpcFailure ? error.message : toVaultError(error).message;
        // Where a list was left off may be lost; it is read from further back.
        if (found.coins.size > state.coins.size) tellUnsaved(notTakenIn(reason));
        throw error;
      }),
    );
    tellUnsaved('');
  };

  const watch = async (): Promise<void> => {
    while (!closed.aborted) {
      // Without a network the exchange has a notice; what could not be saved has one of its own.
      await look().catch(() => undefined);
      const ms = context.ports.visible() ? lookEveryMs : lookHiddenMs;
      await context.ports.wait(ms, closed);
    }
  };

  const networkId = (): Uint8Array => {
    const pinned = context.network();
    const id = pinned === null ? undefined : fromHex(pinned.networkId);
    if (id?.ok === true) return id.value;
    throw notMet();
  };

  const send = async (request: Extract<MoneyRequest, { kind: 'send' }>): Promise<string> => {
    const network = networkId();
    const address = decodeAddress(network, request.address.trim());
    if (!address.ok) throw new VaultFailure('badAddress', addressSentence(address.error));
    const amount = parseAmount(request.amount);
    if (!amount.ok) throw badAmount();
    const memo = utf8(request.memo);
    if (memo.length > maxMemoBytes) {
      throw new VaultFailure(
        'badText',
        `The note is too long. It can have ${maxMemoBytes} letters.`,
      );
    }
    let id = '';
    let written: WrittenPayment | null = null;
    await change((now) => {
      if (written !== null) return writeAgain(now, written);
      const coins = spendable(now);
      const planned = planPayment({
        keys,
        networkId: network,
        coins,
        address: address.value,
        amount: amount.value,
        memo,
        entropy: context.ports.randomBytes(32),
      });
      if (!planned.ok) throw planFailure(planned.error);
      const { txid, spends, change: back } = planned.value;
      const isFull = walletBytes(now) >= maxOwnBytes;
      if (isFull && back > 0n) throw onlyWholeCoins(wholeCoins(coins));
      id = toHex(txid);
      const bundle = encodeBundle(planned.value.bundle);
      const at = context.ports.now();
      const to = request.address.trim();
      written = { payment: { txid, amount: amount.value, address: to, memo, at, bundle }, spends };
      const next = addPayment(now, written.payment, spends);
      if (isFull && walletBytes(next) > maxLeavingBytes) throw walletFull();
      return next;
    }).catch((error: unknown) => {
      throw error instanceof RpcFailure ? notWrittenDown(error) : error;
    });
    outgoing.goOn();
    return id;
  };

  const redeem = async (text: string): Promise<string> => {
    const parsed = parseReceiptText(networkId(), text.trim());
    if (!parsed.ok) throw new VaultFailure('badText', receiptSentence(parsed.error));
    const sections = await section.moneyKeys();
    const received = await withPaths(context.rpc, sections, parsed.value);
    closed.throwIfAborted();
    const committed = verifyCommitted(sections, suite, received);
    if (!committed.ok) {
      throw new VaultFailure(
        'badText',
        'This receipt is not signed by the network. Ask the payer to copy it again.',
      );
    }
    const before = balanceOf(state);
    const scanned = scanCommitted(keys, state, received, context.ports.now());
    const paid = [...scanned.coins.values()].filter(
      ({ coin }) => coin.txid !== null && equalBytes(coin.txid, txidOf(committed.value)),
    );
    const mine = paid.length > 0;
    const known = paid.every(({ coin }) => holdsOutput(state, coin.oneTimeKey));
    if (!mine) {
      throw new VaultFailure(
        'badText',
        'This receipt pays somebody else. Ask the payer for yours.',
      );
    }
    if (known) {
      throw new VaultFailure(
        'badText',
        'This payment is already in your balance. Nothing is missing.',
      );
    }
    await change((now) => {
      if (walletBytes(now) >= maxOwnBytes) throw walletFull();
      return mergeWallets(now, scanned);
    });
    // The payer may have stopped before telling the list: whoever holds the receipt can finish it.
    void finish(toHex(txidOf(committed.value)), received).catch(() => undefined);
    return formatAmount(balanceOf(state).available - before.available);
  };

  const finish = async (
    paymentId: string,
    { transaction, certificates }: CommittedTransaction,
  ): Promise<void> => {
    const bundle = encodeBundle({ transaction, sources: [], prepared: null, certificates });
    await payments.putIntent(paymentId, bundle);
    await context.rpc.call('pay', { body: JSON.stringify({ paymentId }) });
  };

  const askFaucet = async (): Promise<void> => {
    const path = await faucet();
    if (path === null) {
      throw new VaultFailure(
        'networkRefused',
        'This network has no faucet. Ask somebody to pay you.',
      );
    }
    const address = encodeAddress(networkId(), addressOf(keys));
    let response: Response;
    try {
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ address });
      response = await context.ports.fetch(path, { method: 'POST', headers, body });
    } catch {
      throw new VaultFailure(
        'offline',
        'The faucet does not answer. Check your connection and try again.',
      );
    }
    if (response.ok) return void look().catch(() => undefined);
    const told = (await response.json().catch(() => ({}))) as { readonly message?: unknown };
    const message = typeof told.message === 'string' ? told.message : '';
    throw new VaultFailure(
      'networkRefused',
      message || 'The faucet refused. Try again in a minute.',
    );
  };

  const faucet = async (): Promise<string | null> => {
    const answer = await context.ports
      .fetch('/network.json', { cache: 'no-store' })
      .catch(() => null);
    if (answer?.ok === true) faucetPath = readNetworkFile(await answer.json())?.faucet ?? null;
    return faucetPath;
  };

  const receiptOf = (paymentId: string): string => {
    const receipt = state.payments.get(paymentId)?.receipt ?? null;
    if (receipt !== null) return receiptBytesToText(receipt);
    throw new VaultFailure(
      'badText',
      'There is a receipt once the payment is final. Wait a moment.',
    );
  };

  void faucet().then(context.changed, () => undefined);
  void watch();

  return {
    view: () =>
      isUnreadable
        ? unreadableWallet.view()
        : viewOf(state, context, addressOf(keys), faucetPath !== null, outgoing.sentence, unsaved),
    ask: async (asked) => {
      if (isUnreadable) return unreadableWallet.ask(asked);
      const request: MoneyRequest = asked;
      switch (request.kind) {
        case 'send':
          return { paymentId: await send(request) } as never;
        case 'redeem':
          return { amount: await redeem(request.text) } as never;
        case 'receiptText':
          return { text: receiptOf(request.paymentId) } as never;
        case 'askFaucet':
          await askFaucet();
          return null as never;
      }
    },
    absorb: (merged) => {
      const known = readableKnown(merged, state);
      isUnreadable = known === null;
      if (known !== null) {
        learn(known);
        outgoing.goOn();
      }
      context.changed();
    },
    refresh: () => (isUnreadable ? unreadableWallet.refresh() : look()),
  };
}

interface WrittenPayment {
  readonly payment: Parameters<typeof addPayment>[1];
  readonly spends: readonly Uint8Array[];
}

/**
 * A change is made again when another device wrote first. The earlier writing may have been kept all the
 * same, by some or in time by all: only the very same payment may follow it, or it would be made twice.
 */
function writeAgain(now: WalletState, { payment, spends }: WrittenPayment): WalletState {
  if (now.payments.has(toHex(payment.txid))) return now;
  const free = new Set(spendable(now).map(({ coin }) => toHex(coin.keyImage)));
  if (!spends.every((keyImage) => free.has(toHex(keyImage)))) throw spentMeanwhile();
  return addPayment(now, payment, spends);
}

function viewOf(
  state: WalletState,
  context: WalletContext,
  address: Parameters<typeof encodeAddress>[1],
  faucet: boolean,
  waiting: (txid: string) => string,
  unsaved: string,
): MoneyView {
  const pinned = context.network();
  const id = pinned === null ? undefined : fromHex(pinned.networkId);
  const text = id?.ok === true ? encodeAddress(id.value, address) : '';
  return {
    balance: formatAmount(balanceOf(state).available),
    readable: true,
    address: text,
    addressWords: text === '' ? '' : wordsOf(text),
    payments: historyOf(state).map((item) => paymentView(item, waiting(item.id))),
    faucet,
    notice: unsaved || (hasLeft(state) ? leftSentence : ''),
  };
}

/** Is there money in the network that there is no room for? */
const hasLeft = (state: WalletState): boolean =>
  [...state.lists.values()].some(
    ({ left }) => left !== null && !takesIn(walletBytes(state), left.largest),
  );

/** For reading aloud: two addresses that differ have different words, but for one in 2⁴⁴. */
function wordsOf(address: string): string {
  const hash = labelledHash('safe/v1/address-words', utf8(address));
  const words = Array.from({ length: fingerprintWords }, (_, i) => {
    const number = ((hash[2 * i] ?? 0) << 8) | (hash[2 * i + 1] ?? 0);
    return englishWords[number % englishWords.length] ?? '';
  });
  return words.join(' ');
}

const paymentView = (item: HistoryItem, waiting: string): PaymentView => ({
  id: item.id,
  direction: item.direction,
  amount: formatAmount(item.amount),
  memo: item.memo,
  at: item.at,
  state: item.state === 'draft' && waiting === '' ? 'preparing' : item.state,
  sentence: waiting !== '' && !isOver(item.state) ? waiting : sentenceOf(item),
});

const isOver = (state: HistoryState): boolean => state === 'registered' || state === 'replaced';
