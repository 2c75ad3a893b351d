/**
 * Page ⇄ vault: the requests a window may send to the worker that holds the unlocked Safe, and the replies.
 * They are matched by a number; notices carry state the page may show. Nothing here is secret except what a
 * person types (password, words) and the phrase shown once.
 */
import {
  bool,
  either,
  intBetween,
  listOf,
  literal,
  nullable,
  record,
  textUpTo,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import type { PaymentStage } from '#safe/payment/stages.ts';
import type { PhraseProblem } from '#safe/credentials/phrase-problem.ts';

export type { PaymentStage, PhraseProblem };

type Value<S> = S extends Shape<infer T> ? T : never;

/** Typed or pasted text; a receipt as text is the longest. */
const text = textUpTo(1024 * 1024);
const position = intBetween(1, 64);
const nothing: Shape<null> = (value) => (value === null ? null : undefined);
const file: Shape<File> = (value) => (value instanceof File ? value : undefined);
const transferId = record({ transferId: text });
const fileId = record({ fileId: text });

const phraseProblemShape: Shape<PhraseProblem> = union({
  unknownWord: record({ position, word: text, suggestion: nullable(text) }),
  wrongWord: record({ position, suggestion: text }),
  oneOfThese: record({ positions: listOf(position, 64) }),
  swapped: record({ position }),
  /** 0: at the beginning. */
  missing: record({ after: nullable(intBetween(0, 64)) }),
  wrongCount: record({ count: intBetween(0, 1024 * 1024) }),
  checkFails: record({}),
});

const passwordStrengthShape = record({
  acceptable: bool,
  /** One plain sentence: why it is weak, or what a thief would pay. */
  sentence: text,
  /** 0 (very weak) to 4. */
  score: either(either(literal(0), literal(1)), either(either(literal(2), literal(3)), literal(4))),
});
export type PasswordStrength = Value<typeof passwordStrengthShape>;

/** Every request of a page with its fields and its reply. */
const vaultCalls = {
  newPhrase: [record({}), record({ words: listOf(text, 64) })],
  checkPhrase: [record({ words: text }), record({ problem: nullable(phraseProblemShape) })],
  passwordStrength: [record({ password: text }), passwordStrengthShape],
  createSafe: [record({ words: text, password: text }), nothing],
  unlockHere: [record({ password: text }), nothing],
  unlockWithPhrase: [record({ words: text, password: text, remember: bool }), nothing],
  lock: [record({}), nothing],
  /**
   * Removes this Safe from this device; the Safe itself stays. Refused while changes exist only on this
   * device, unless `evenUnsaved`: the person was warned.
   */
  forget: [record({ evenUnsaved: bool }), nothing],
  upload: [record({ file }), transferId],
  resumeUpload: [record({ transferId: text, file }), transferId],
  cancelUpload: [transferId, nothing],
  /** Gives the worker a read key and answers with the address to open. */
  openFile: [fileId, record({ url: text })],
  removeFile: [fileId, nothing],
  restoreFile: [fileId, nothing],
  askFaucet: [record({}), nothing],
  send: [record({ address: text, amount: text, memo: text }), record({ paymentId: text })],
  /** A receipt as text: the second way for a payment to arrive. */
  redeem: [record({ text }), record({ amount: text })],
  receiptText: [record({ paymentId: text }), record({ text })],
  refresh: [record({}), nothing],
} as const satisfies Readonly<Record<string, readonly [Shape<object>, Shape<unknown>]>>;

type VaultCalls = typeof vaultCalls;
export type VaultRequestKind = keyof VaultCalls;
export type VaultRequest = {
  [Kind in VaultRequestKind]: { readonly kind: Kind } & Value<VaultCalls[Kind][0]>;
}[VaultRequestKind];
export type VaultReplies = {
  readonly [Kind in VaultRequestKind]: Value<VaultCalls[Kind][1]>;
};

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
  /** The tab with the file was closed: choose the same file again to resume. */
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

export interface PaymentView {
  readonly id: string;
  readonly direction: 'in' | 'out';
  readonly amount: string;
  readonly memo: string;
  readonly at: number;
  readonly stage: PaymentStage;
  /** A sentence for the stage; never a vague "failed". */
  readonly sentence: string;
  /** Begun by another device, whose record of it this one does not have. */
  readonly recipientUnknown: boolean;
}

export interface MoneyView {
  /** Decimal text in the smallest unit's multiples, e.g. "12.5"; a dash when the money cannot be read. */
  readonly balance: string;
  /** False while the money part of the Safe cannot be read here: then all of it is unknown. */
  readonly readable: boolean;
  readonly address: string;
  readonly addressWords: string;
  readonly payments: readonly PaymentView[];
  readonly faucet: boolean;
  /**
   * A sentence when incoming money waits for space in the wallet or on this device, or cannot be read, else
   * empty.
   */
  readonly notice: string;
}

export type VaultView =
  | { readonly kind: 'starting' }
  /** No Safe on this device. */
  | { readonly kind: 'none' }
  | { readonly kind: 'locked'; readonly fingerprint: string }
  /** The origin serves another network than this Safe's: nothing is read or changed. */
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

const requestShape = union(
  Object.fromEntries(Object.entries(vaultCalls).map(([kind, [input]]) => [kind, input])),
) as Shape<VaultRequest>;

/** A page's message to its vault. */
export const toVaultShape = union({
  ask: record({ id: intBetween(1, Number.MAX_SAFE_INTEGER), request: requestShape }),
  /** The address of the worker that estimates passwords, a file of this version of the app. */
  guessWorker: record({ url: textUpTo(1024) }),
  visible: record({ visible: bool }),
  /** Passed on from the worker: it lost the read key of a file being opened. */
  needFileKey: record({ token: textUpTo(64) }),
});
export type ToVault = Value<typeof toVaultShape>;

/** The reply to this kind of request, or `undefined` if it is not one. */
export const readReply = <Kind extends VaultRequestKind>(
  kind: Kind,
  value: unknown,
): VaultReplies[Kind] | undefined => (vaultCalls[kind][1] as Shape<VaultReplies[Kind]>)(value);

export type FromVault =
  | { readonly kind: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: VaultError }
  | { readonly kind: 'view'; readonly view: VaultView }
  /** The vault cannot reach the service worker: the page restarts the vault once. */
  | { readonly kind: 'uncontrolled' };
