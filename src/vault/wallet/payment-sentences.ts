/** The texts about money; never a vague "failed". */
import type { AddressError } from '#money/wallet-address.ts';
import { formatAmount } from '#money/amount.ts';
import type { WaitingReasonKind } from '#safe/payment/stages.ts';
import type { HistoryItem, NotAdopted, PlanError } from '#safe/wallet/index.ts';
import { toVaultError, VaultFailure } from '../failure.ts';
import type { RpcFailure } from '../network/worker-rpc.ts';

export function historySentence({
  stage,
  direction,
  replacedBy,
}: Pick<HistoryItem, 'stage' | 'direction' | 'replacedBy'>): string {
  if (direction === 'in') return 'Received. It is yours and final.';
  switch (stage) {
    case 'draft':
    case 'preparing':
      return 'Written down on this device; the elders are being asked.';
    case 'committing':
      return 'The elders have written it down and are signing.';
    case 'final':
      return 'Final: nobody can take it back. The recipient’s list is being told.';
    case 'registered':
      return 'Final, and in the recipient’s list.';
    case 'replaced':
      return `${replacementSentence(replacedBy)} Nothing was sent twice and nothing is lost: send again if it is still owed.`;
  }
}

const replacementSentence = (replacedBy: bigint | null): string =>
  replacedBy === null
    ? 'Another device of this Safe had already spent this coin.'
    : `Another device of this Safe had already begun a payment with the same money, of ${formatAmount(replacedBy)}; it was completed.`;

/** Why the payment that goes first is not completed from here. */
export const notAdoptedSentences: Readonly<Record<NotAdopted, string>> = {
  foreign:
    'Somebody else who has the keys of this money is spending it at this moment. If that was not you, move the rest of your money to a new Safe.',
  dead: 'Elders have voted for an earlier payment of the same money, which was replaced. This payment keeps asking; nothing is lost.',
  unknownCoins:
    'A device that this one does not know is spending the same money together with other coins. This payment keeps asking; nothing is lost.',
  walletFull:
    'Another device of this Safe has begun a payment with the same money. The list of payments here is full, so only that device can complete it.',
};

/** Why a payment does not move on. */
export const waitingSentences: Readonly<Record<WaitingReasonKind, string>> = {
  conflict:
    'Another device of this Safe is spending the same coin at this moment. This payment keeps asking; nothing is lost.',
  adopted:
    'Another device of this Safe had already begun a payment with the same money. It is completed first.',
  tooFewElders: 'Fewer than five elders answer. The payment continues when they do.',
  refused: 'The elders refuse this payment. Your money stays yours; please report this.',
  duplicateKey:
    'The recipient’s list already has this payment’s key. Send the receipt as text instead.',
};

/** The payment is stored and is retried; the failure's own sentence explains why it waits. */
export function failureSentence(error: unknown): string {
  const { kind, message } = toVaultError(error);
  return kind === 'internal'
    ? 'The payment could not go on inside the app. It is tried again.'
    : message;
}

export function addressSentence(error: AddressError): string {
  switch (error) {
    case 'mistyped':
      return 'This is not a whole address. Copy it again from the other person’s Money page.';
    case 'wrongNetwork':
      return 'This address belongs to another network. Ask for one of the network you both use.';
    case 'wrongVersion':
      return 'This address was made by a newer version of Safe. Reload to update the app.';
  }
}

export function receiptSentence(
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

export function planFailure(error: PlanError): VaultFailure {
  switch (error.kind) {
    case 'notEnough': {
      const have = formatAmount(error.available);
      return new VaultFailure('notEnoughMoney', `You have ${have}. Send that much or less.`);
    }
    case 'tooManyInputs': {
      const limit = formatAmount(error.possible);
      const message = `Your money is in many small coins: one payment can carry ${limit}. Send it in parts.`;
      return new VaultFailure('notEnoughMoney', message);
    }
    case 'badAddress':
      return new VaultFailure('badAddress', addressSentence('mistyped'));
    case 'memoTooLong':
      return memoTooLong(error.maxBytes);
    case 'badAmount':
      return badAmount();
  }
}

export const badAmount = (): VaultFailure =>
  new VaultFailure('badAmount', 'Write the amount as a number above zero, for example 2.5.');

export const memoTooLong = (maxBytes: number): VaultFailure =>
  new VaultFailure('badText', `The note is too long. It can have ${maxBytes} letters.`);

export const walletFull = (): VaultFailure =>
  new VaultFailure(
    'storageFull',
    'The list of payments of this Safe is full. Nothing was sent or changed; your money stays yours. Make a new Safe and keep this one for what it holds.',
  );

/** @param limit the sum of the largest coins that one payment can spend whole */
export const changelessOnly = (limit: bigint): VaultFailure =>
  new VaultFailure(
    'storageFull',
    `The list of payments of this Safe is full: it can only send whole coins, without change. Nothing was sent. Make a new Safe and send ${formatAmount(limit)} to its address, exactly; then again with the amount shown next, until this one is empty.`,
  );

/** With other coins it might be paid twice: the person must check first. */
export const spentMeanwhile = (): VaultFailure =>
  new VaultFailure(
    'busy',
    'Another device of this Safe spent the same coin at this moment. Look at your list of payments before you send it again.',
  );

/** A Safe that this device must not remember can store a payment only on the network. */
export const paymentNotSaved = ({ message }: RpcFailure): VaultFailure =>
  new VaultFailure(
    'offline',
    `The payment could not be written down in the network, and this device is not to remember your Safe. Nothing was sent. Look at your list of payments before you try again. ${message}`,
  );

/** @param reason a whole sentence */
export const incomingNotSaved = (reason: string): string =>
  `Money for you is in the network and could not be written down in your Safe. It stays yours and is taken in as soon as it can be. ${reason}`;

export const skippedSentence =
  'Small payments to you are waiting in the network: this Safe holds as many small coins as fit beside your files. They stay yours and come in when there is room, which sending money makes. Larger payments arrive as before.';
