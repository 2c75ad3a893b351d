/**
 * Page ⇄ vault: what a window may ask of the worker that holds the unlocked Safe, and what it is
 * told. Requests and replies are matched by a number; notices carry state the page may show.
 * Nothing here is secret except what a person types (password, words) and the phrase shown once.
 */

/** Why words are not a phrase we made; positions count from 1. */
export type PhraseProblem =
  | {
      readonly kind: 'unknownWord';
      readonly position: number;
      readonly word: string;
      readonly suggestion: string | null;
    }
  | { readonly kind: 'wrongWord'; readonly position: number; readonly suggestion: string }
  | { readonly kind: 'oneOfThese'; readonly positions: readonly number[] }
  | { readonly kind: 'swapped'; readonly position: number }
  | { readonly kind: 'missing'; readonly after: number | null }
  | { readonly kind: 'wrongCount'; readonly count: number }
  | { readonly kind: 'checkFails' };

export interface PasswordStrength {
  readonly acceptable: boolean;
  /** One plain sentence: why it is weak, or what a thief would pay. */
  readonly sentence: string;
  /** 0 (very weak) to 4. */
  readonly score: 0 | 1 | 2 | 3 | 4;
}

export type VaultRequest =
  | { readonly kind: 'newPhrase' }
  | { readonly kind: 'checkPhrase'; readonly words: string }
  | { readonly kind: 'passwordStrength'; readonly password: string }
  | { readonly kind: 'createSafe'; readonly words: string; readonly password: string }
  | { readonly kind: 'unlockHere'; readonly password: string }
  | {
      readonly kind: 'unlockWithPhrase';
      readonly words: string;
      readonly password: string;
      readonly remember: boolean;
    }
  | { readonly kind: 'lock' }
  /**
   * Removes this Safe from this device; the Safe itself stays. Refused while something of it is on
   * this device only, unless the person was told and wants it gone.
   */
  | { readonly kind: 'forget'; readonly evenUnsaved: boolean }
  | { readonly kind: 'upload'; readonly file: File }
  | { readonly kind: 'resumeUpload'; readonly transferId: string; readonly file: File }
  | { readonly kind: 'cancelUpload'; readonly transferId: string }
  /** Hands the worker a read key and answers with the address to open. */
  | { readonly kind: 'openFile'; readonly fileId: string }
  | { readonly kind: 'removeFile'; readonly fileId: string }
  | { readonly kind: 'restoreFile'; readonly fileId: string }
  | { readonly kind: 'askFaucet' }
  | {
      readonly kind: 'send';
      readonly address: string;
      readonly amount: string;
      readonly memo: string;
    }
  /** A receipt as text: the second way for a payment to arrive. */
  | { readonly kind: 'redeem'; readonly text: string }
  | { readonly kind: 'receiptText'; readonly paymentId: string }
  | { readonly kind: 'refresh' };

/** Failures a person can act on. `message` is a whole sentence with a next step. */
export type VaultErrorKind =
  | 'phraseInvalid'
  | 'phraseUnknown'
  | 'wrongPassword'
  | 'weakPassword'
  | 'offline'
  | 'otherNetwork'
  | 'locked'
  | 'fileChanged'
  | 'notEnoughMoney'
  | 'badAddress'
  | 'badAmount'
  | 'badText'
  | 'networkRefused'
  | 'storageFull'
  | 'busy'
  | 'internal';

export interface VaultError {
  readonly kind: VaultErrorKind;
  readonly message: string;
  readonly phrase?: PhraseProblem;
}

/** What each request is answered with. */
export interface VaultReplies {
  readonly newPhrase: { readonly words: readonly string[] };
  readonly checkPhrase: { readonly problem: PhraseProblem | null };
  readonly passwordStrength: PasswordStrength;
  readonly createSafe: null;
  readonly unlockHere: null;
  readonly unlockWithPhrase: null;
  readonly lock: null;
  readonly forget: null;
  readonly upload: { readonly transferId: string };
  readonly resumeUpload: { readonly transferId: string };
  readonly cancelUpload: null;
  readonly openFile: { readonly url: string };
  readonly removeFile: null;
  readonly restoreFile: null;
  readonly askFaucet: null;
  readonly send: { readonly paymentId: string };
  readonly redeem: { readonly amount: string };
  readonly receiptText: { readonly text: string };
  readonly refresh: null;
}

export interface FileView {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly type: string;
  readonly addedAt: number;
}

export type TransferState =
  | 'preparing'
  | 'sending'
  | 'waiting'
  /** The tab that held the file is gone: choose the same file again to go on. */
  | 'needsFile'
  | 'failed';

export interface TransferView {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly doneBytes: number;
  readonly bytesPerSecond: number;
  readonly state: TransferState;
  /** A sentence when the state is `waiting` or `failed`, else empty. */
  readonly sentence: string;
}

export type PaymentState =
  /** Written down on this device, nothing sent yet. */
  | 'draft'
  | 'preparing'
  | 'committing'
  /** Final; the recipient's list does not have it yet. */
  | 'final'
  | 'registered'
  /** The coin was spent by another payment of this Safe; nothing was lost. */
  | 'replaced';

export interface PaymentView {
  readonly id: string;
  readonly direction: 'in' | 'out';
  readonly amount: string;
  readonly memo: string;
  readonly at: number;
  readonly state: PaymentState;
  /** A sentence for the state; never a vague "failed". */
  readonly sentence: string;
}

export interface MoneyView {
  /** Decimal text in the smallest unit's multiples, e.g. "12.5"; a dash when the money cannot be read. */
  readonly balance: string;
  /** False while the money part of the Safe cannot be read here: then nothing of it is known. */
  readonly readable: boolean;
  readonly address: string;
  readonly addressWords: string;
  readonly payments: readonly PaymentView[];
  readonly faucet: boolean;
  /** A sentence when money waits in the network for room or a disk here, or cannot be read, else empty. */
  readonly notice: string;
}

export type VaultView =
  | { readonly kind: 'starting' }
  /** No Safe on this device. */
  | { readonly kind: 'none' }
  | { readonly kind: 'locked'; readonly fingerprint: string }
  /** The origin serves another network than this Safe belongs to: nothing is touched. */
  | {
      readonly kind: 'otherNetwork';
      readonly pinned: { readonly name: string; readonly networkId: string };
      readonly served: { readonly name: string; readonly networkId: string };
    }
  | {
      readonly kind: 'open';
      readonly fingerprint: string;
      /** Is the Safe's index on the network yet? */
      readonly published: 'waiting' | 'published';
      readonly files: readonly FileView[];
      readonly removedFiles: readonly FileView[];
      readonly transfers: readonly TransferView[];
      readonly money: MoneyView;
      /** One sentence when the last exchange with the network failed, else empty. */
      readonly notice: string;
    };

export type ToVault = {
  readonly id: number;
  readonly request: VaultRequest;
};

export type FromVault =
  | { readonly kind: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: VaultError }
  | { readonly kind: 'view'; readonly view: VaultView }
  /** The vault cannot reach the service worker: the page starts it once more. */
  | { readonly kind: 'uncontrolled' };
