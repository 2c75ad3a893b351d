/** The wallet inside the vault: what a person asks of it, and what they see. */
import type { MoneyView, PaymentView } from '#bridge/vault.ts';
import { fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { englishWords } from '#crypto/bip39.ts';
import { labelledHash } from '#crypto/hash.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { addressOf, decodeAddress, encodeAddress, type AddressError } from '#money/address.ts';
import { formatAmount, parseAmount } from '#money/amount.ts';
import { verifyCommitted } from '#money/certificate.ts';
import { walletKeys } from '#money/keys.ts';
import { maxMemoBytes, txidOf } from '#money/transaction.ts';
import { encodeBundle } from '#safe/payment/index.ts';
import {
  addPayment,
  balanceOf,
  decodeWallet,
  emptyWallet,
  encodeWallet,
  historyOf,
  mergeWallets,
  parseReceiptText,
  planPayment,
  receiptBytesToText,
  scanCommitted,
  spendable,
  type HistoryItem,
  type HistoryState,
  type PlanError,
  type WalletState,
} from '#safe/wallet/index.ts';
import { putIntent } from '#storage/browser/payments.ts';
import { notMet, VaultFailure } from '../failure.ts';
import { readNetworkFile } from '../network-file.ts';
import type { MoneyRequest, WalletContext, WalletFactory, WalletPort } from '../ports.ts';
import { createIncoming } from './incoming.ts';
import { createOutgoing } from './outgoing.ts';
import { withPaths } from './paths.ts';
import { createSectionReader } from './section.ts';

/** How often incoming payments are looked for while the Safe is open. */
const lookEveryMs = 3_000;
/** Nobody is looking: the browser may put the worker to sleep in between. */
const lookHiddenMs = 60_000;
const fingerprintWords = 4;

/** Coins as a set that merges; a damaged part is refused by the index, never dropped silently. */
export const walletFactory: WalletFactory = {
  merge: (a, b) => encodeWallet(mergeWallets(read(a), read(b))),
  open: async (context) => openWallet(context),
};

function openWallet(context: WalletContext): WalletPort {
  const keys = walletKeys(context.seed.reveal());
  const section = createSectionReader(context.rpc, context.network);
  let state = read(context.section);
  let faucetPath: string | null = null;

  /** Changes one after the other; each is durable before the next begins. */
  let tail: Promise<void> = Promise.resolve();
  const change = (apply: (state: WalletState) => WalletState): Promise<void> => {
    const changed = tail.then(async () => {
      const stored = await context.update((section) => {
        const before = read(section);
        const next = apply(before);
        return next === before ? section : encodeWallet(next);
      });
      state = mergeWallets(state, read(stored));
      context.changed();
    });
    tail = changed.catch(() => undefined);
    return changed;
  };

  const outgoing = createOutgoing(context, keys, change);
  const incoming = createIncoming(context.rpc, keys, section, context.owner, context.ports.now);

  const look = async (): Promise<void> => {
    outgoing.goOn(state);
    const before = state;
    const found = await incoming.look(before);
    if (found !== before) await change((now) => mergeWallets(now, found));
  };

  const watch = async (): Promise<void> => {
    while (!context.closed.aborted) {
      await look().catch(() => undefined);
      const ms = context.ports.visible() ? lookEveryMs : lookHiddenMs;
      await context.ports.wait(ms, context.closed);
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
    return context.ports.withLock(`wallet-${context.owner}`, async () => {
      let id = '';
      await change((now) => {
        const planned = planPayment({
          keys,
          networkId: network,
          coins: spendable(now),
          address: address.value,
          amount: amount.value,
          memo,
          entropy: context.ports.randomBytes(32),
        });
        if (!planned.ok) throw planFailure(planned.error);
        const { txid, bundle, spends } = planned.value;
        id = toHex(txid);
        const written = encodeBundle(bundle);
        const at = context.ports.now();
        const payment = { txid, amount: amount.value, address: request.address, memo, at };
        return addPayment(now, { ...payment, bundle: written }, spends);
      });
      outgoing.goOn(state);
      return id;
    });
  };

  const redeem = async (text: string): Promise<string> => {
    const parsed = parseReceiptText(networkId(), text.trim());
    if (!parsed.ok) throw new VaultFailure('badText', receiptSentence(parsed.error));
    const sections = await section.moneyKeys();
    const received = await withPaths(context.rpc, sections, parsed.value);
    const committed = verifyCommitted(sections, blsSuite, received);
    if (!committed.ok) {
      throw new VaultFailure(
        'badText',
        'This receipt is not signed by the network. Ask the payer to copy it again.',
      );
    }
    const before = balanceOf(state);
    const scanned = scanCommitted(keys, state, received, context.ports.now());
    const known = [...scanned.coins.keys()].every((key) => state.coins.has(key));
    const mine = [...scanned.coins.values()].some(
      ({ coin }) => coin.txid !== null && toHex(coin.txid) === toHex(txidOf(committed.value)),
    );
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
    await change((now) => mergeWallets(now, scanned));
    // The payer may have stopped before telling the list: whoever holds the receipt can finish it.
    const id = toHex(txidOf(committed.value));
    const { transaction, certificates } = received;
    await putIntent(id, encodeBundle({ transaction, sources: [], prepared: null, certificates }));
    void context.rpc
      .call('pay', { body: JSON.stringify({ paymentId: id }) })
      .catch(() => undefined);
    return formatAmount(balanceOf(state).available - before.available);
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
    view: () => viewOf(state, context, addressOf(keys), faucetPath !== null, outgoing.sentence),
    ask: async (asked) => {
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
      const theirs = decodeWallet(merged);
      if (!theirs.ok) return;
      state = mergeWallets(state, theirs.value);
      outgoing.goOn(state);
      context.changed();
    },
    refresh: look,
  };
}

function read(section: Uint8Array): WalletState {
  if (section.length === 0) return emptyWallet;
  const decoded = decodeWallet(section);
  if (decoded.ok) return decoded.value;
  throw new VaultFailure(
    'internal',
    'The money part of this Safe cannot be read by this version of the app. Reload to update it; nothing was changed.',
  );
}

function viewOf(
  state: WalletState,
  context: WalletContext,
  address: Parameters<typeof encodeAddress>[1],
  faucet: boolean,
  waiting: (txid: string) => string,
): MoneyView {
  const pinned = context.network();
  const id = pinned === null ? undefined : fromHex(pinned.networkId);
  const text = id?.ok === true ? encodeAddress(id.value, address) : '';
  return {
    balance: formatAmount(balanceOf(state).available),
    address: text,
    addressWords: text === '' ? '' : wordsOf(text),
    payments: historyOf(state).map((item) => paymentView(item, waiting(item.id))),
    faucet,
  };
}

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

function sentenceOf({ state, direction }: HistoryItem): string {
  if (direction === 'in') return 'Received. It is yours and final.';
  switch (state) {
    case 'draft':
      return 'Written down on this device; the elders are being asked.';
    case 'committing':
      return 'The elders have written it down and are signing.';
    case 'final':
      return 'Final: nobody can take it back. The recipient’s list is being told.';
    case 'registered':
      return 'Final, and in the recipient’s list.';
    case 'replaced':
      return 'Another device of this Safe had already spent this coin. Nothing was sent twice and nothing is lost: send again if it is still owed.';
  }
}

function addressSentence(error: AddressError): string {
  switch (error) {
    case 'mistyped':
      return 'This is not a whole address. Copy it again from the other person’s Money page.';
    case 'wrongNetwork':
      return 'This address belongs to another network. Ask for one of the network you both use.';
    case 'wrongVersion':
      return 'This address was made by a newer version of Safe. Reload to update the app.';
  }
}

function receiptSentence(
  error: 'mistyped' | 'wrongVersion' | 'wrongNetwork' | 'malformed',
): string {
  switch (error) {
    case 'wrongNetwork':
      return 'This receipt belongs to another network. It cannot be redeemed here.';
    case 'wrongVersion':
      return 'This receipt was made by a newer version of Safe. Reload to update the app.';
    default:
      return 'This is not a whole receipt. Copy all of its text, from the first letter to the last.';
  }
}

function planFailure(error: PlanError): VaultFailure {
  switch (error.kind) {
    case 'notEnough': {
      const have = formatAmount(error.available);
      return new VaultFailure('notEnoughMoney', `You have ${have}. Send that much or less.`);
    }
    case 'tooManyInputs': {
      const possible = formatAmount(error.possible);
      const message = `Your money is in many small coins: one payment can carry ${possible}. Send it in parts.`;
      return new VaultFailure('notEnoughMoney', message);
    }
    case 'badAddress':
      return new VaultFailure('badAddress', addressSentence('mistyped'));
    case 'memoTooLong':
      return new VaultFailure(
        'badText',
        `The note is too long. It can have ${error.maxBytes} letters.`,
      );
    case 'badAmount':
      return badAmount();
  }
}

const badAmount = (): VaultFailure =>
  new VaultFailure('badAmount', 'Write the amount as a number above zero, for example 2.5.');
