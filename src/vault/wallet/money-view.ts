/** The page's view of the wallet: balance, address, payments and notices as text. */
import type { MoneyView, PaymentView } from '#bridge/vault.ts';
import { fromHex, utf8 } from '#core/codec/bytes.ts';
import { englishWords } from '#crypto/bip39.ts';
import { labelledHash } from '#crypto/hash.ts';
import { formatAmount } from '#money/amount.ts';
import { encodeAddress } from '#money/wallet-address.ts';
import {
  acceptsCoin,
  balanceOf,
  historyOf,
  walletBytes,
  type HistoryItem,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { WalletContext } from '../ports.ts';
import type { OutgoingPayments, PaymentProgress } from './outgoing-payments.ts';
import { historySentence, skippedSentence } from './payment-sentences.ts';

const fingerprintWords = 4;

export interface MoneyViewParts {
  readonly state: WalletState;
  readonly network: ReturnType<WalletContext['network']>;
  readonly address: Parameters<typeof encodeAddress>[1];
  readonly faucet: boolean;
  readonly progress: OutgoingPayments['progress'];
  /** The received money that could not be stored; empty if none waits. */
  readonly unsaved: string;
}

export function moneyViewOf(parts: MoneyViewParts): MoneyView {
  const { state, network, progress } = parts;
  const id = network === null ? undefined : fromHex(network.networkId);
  const text = id?.ok === true ? encodeAddress(id.value, parts.address) : '';
  return {
    balance: formatAmount(balanceOf(state).available),
    readable: true,
    address: text,
    addressWords: text === '' ? '' : addressWords(text),
    payments: historyOf(state).map((item) => paymentView(item, progress(item.id))),
    faucet: parts.faucet,
    notice: parts.unsaved || (hasSkipped(state) ? skippedSentence : ''),
  };
}

/** Is money waiting in the network for lack of space? */
const hasSkipped = (state: WalletState): boolean =>
  [...state.lists.values()].some(
    ({ skipped }) => skipped !== null && !acceptsCoin(walletBytes(state), skipped.largest),
  );

/** For reading aloud: two different addresses have different words, except with probability 2⁻⁴⁴. */
function addressWords(address: string): string {
  const hash = labelledHash('safe/v1/address-words', utf8(address));
  const words = Array.from({ length: fingerprintWords }, (_, i) => {
    const number = ((hash[2 * i] ?? 0) << 8) | (hash[2 * i + 1] ?? 0);
    return englishWords[number % englishWords.length] ?? '';
  });
  return words.join(' ');
}

/** Live progress is newer than the wallet only before its first stage is stored. */
function paymentView(item: HistoryItem, live: PaymentProgress | undefined): PaymentView {
  const { id, direction, memo, at, recipientUnknown } = item;
  const stage = item.stage === 'draft' && live !== undefined ? live.stage : item.stage;
  const isOver = item.stage === 'registered' || item.stage === 'replaced';
  return {
    ...{ id, direction, memo, at, stage, recipientUnknown },
    amount: formatAmount(item.amount),
    sentence: (!isOver && live?.sentence) || historySentence({ ...item, stage }),
  };
}
