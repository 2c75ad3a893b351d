/**
 * State, messages and facts of elders, clients and liars of `seal`, and their parts
 * (handover-money-net.ts).
 */
import type { Keyed, KeyedState } from '../keyed.ts';
import type { Effect, Machine } from '#core/machine.ts';
import type { MoneySection, SectionKeys } from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { verifyEntries, mergeSnapshots, type SnapshotEntry } from '#money/snapshot.ts';
import {
  handover,
  type HandoverProtocol,
  type HandoverConfig,
  type HandoverState,
  type SnapshotPage,
} from '#protocol/handover/index.ts';
import {
  mint,
  performMintJob,
  type Mint,
  type MintConfig,
  type MintFact,
  type MintState,
} from '#protocol/mint/index.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type { SectionState } from '#protocol/section/index.ts';
import {
  spentbook,
  type Spentbook,
  type SpentbookConfig,
  type SpentbookFact,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import type { Payment, PaymentConfig } from '#safe/payment/index.ts';
import {
  honestPageParts,
  type PartialList,
  type PageParts,
  type SealedArchive,
} from './paged-list.ts';
import type {
  PayingClientState,
  PayingFact,
  PayingInput,
  PayingMessage,
  Paying,
} from '../payment/paying-client.ts';

/** A key this node holds a share of. */
export interface OwnKeyShare {
  readonly section: MoneySection;
  readonly known: SectionKeys;
  readonly secretShare: Uint8Array;
}

export type HandoverMoneyConfig =
  | {
      readonly kind: 'elder';
      readonly name: Uint8Array;
      readonly identitySeed: Uint8Array;
      readonly identity: IdentitySuite;
      readonly handover: HandoverConfig;
      /** Its share of the old key, if it had one. */
      readonly old: OwnKeyShare | null;
      /** Its share of a new key, if it gets one. */
      readonly successor: OwnKeyShare | null;
      readonly archives: readonly SealedArchive[];
      /** True for a liar that snapshots no entries and keeps signing after the freeze. */
      readonly hides: boolean;
    }
  | { readonly kind: 'client'; readonly payment: PaymentConfig }
  /** Sends these messages to all nodes in `to` on every `go`. */
  | {
      readonly kind: 'mallory';
      readonly to: readonly string[];
      readonly messages: readonly HandoverMoneyMessage[];
    };

export type HandoverMoneyMessage =
  PayingMessage | { readonly kind: 'handover'; readonly message: Uint8Array };

export type KeySide = 'old' | 'successor';

export type HandoverMoneyFact =
  | {
      readonly kind: 'spentbook';
      readonly at: KeySide;
      readonly key: string;
      readonly fact: SpentbookFact;
    }
  | { readonly kind: 'mint'; readonly at: KeySide; readonly key: string; readonly fact: MintFact }
  | { readonly kind: 'closed' }
  | { readonly kind: 'moneySealed' }
  | { readonly kind: 'handover'; readonly bytes: Uint8Array }
  | { readonly kind: 'page'; readonly page: SnapshotPage }
  | {
      readonly kind: 'list';
      readonly elder: number | null;
      readonly entries: readonly SnapshotEntry[];
    }
  | PayingFact;

export type HandoverMoneyOutput =
  | { readonly kind: 'sent'; readonly at: KeySide; readonly message: Uint8Array }
  | { readonly kind: 'registered'; readonly at: KeySide; readonly entry: Uint8Array }
  | { readonly kind: 'payment'; readonly output: Payment['output'] }
  | { readonly kind: 'handover'; readonly output: HandoverProtocol['output'] };

export type HandoverMoneyJob =
  | { readonly kind: 'spentbook'; readonly job: Spentbook['job'] }
  | { readonly kind: 'mint'; readonly job: Mint['job'] }
  | { readonly kind: 'payment'; readonly job: Payment['job'] }
  | { readonly kind: 'handover'; readonly job: HandoverProtocol['job'] };

export interface HandoverMoneyProtocol {
  readonly input:
    | PayingInput
    | { readonly kind: 'close' }
    | { readonly kind: 'snapshotsReferenced'; readonly snapshots: readonly SignedSnapshot[] }
    | { readonly kind: 'sealed'; readonly state: SectionState };
  readonly message: HandoverMoneyMessage;
  readonly fact: HandoverMoneyFact;
  readonly output: HandoverMoneyOutput;
  readonly fault: Spentbook['fault'] | Mint['fault'] | Payment['fault'] | HandoverProtocol['fault'];
  readonly timer: string;
  readonly job: HandoverMoneyJob;
  readonly jobId:
    | {
        readonly kind: 'slot';
        readonly at: 'old' | 'successor';
        readonly id: Keyed<Spentbook>['jobId'];
      }
    | {
        readonly kind: 'output';
        readonly at: 'old' | 'successor';
        readonly id: Keyed<Mint>['jobId'];
      }
    | { readonly kind: 'handover'; readonly id: HandoverProtocol['jobId'] }
    | Paying['jobId'];
  readonly result: unknown;
}

export interface MoneyStates {
  readonly slots: KeyedState<SpentbookState>;
  readonly outputs: KeyedState<MintState>;
  readonly slotFacts: ReadonlyMap<string, readonly SpentbookFact[]>;
  readonly outputFacts: ReadonlyMap<string, readonly MintFact[]>;
}

export interface ElderState {
  readonly kind: 'elder';
  readonly old: MoneyStates;
  readonly successor: MoneyStates;
  /** SPENTBOOK-R6: money of the old key has stopped. */
  readonly sealed: boolean;
  /** Money of the new key has begun. */
  readonly active: boolean;
  readonly handover: HandoverState | null;
  /** By hex of the root: lists that can be served. */
  readonly lists: ReadonlyMap<string, readonly SnapshotEntry[]>;
  /** By hex of the root: the pages received so far. */
  readonly arriving: ReadonlyMap<string, PartialList>;
  readonly archives: readonly SealedArchive[];
  /** The purpose of a fetch: the elder whose snapshot it is, or null for the merged list. */
  readonly wanted: ReadonlyMap<string, number | null>;
  readonly fetches: number;
}

export type HandoverMoneyState = ElderState | PayingClientState | { readonly kind: 'mallory' };

export type ElderConfig = HandoverMoneyConfig & { readonly kind: 'elder' };
export type ElderStep = {
  readonly state: ElderState;
  readonly effects: readonly Effect<HandoverMoneyProtocol>[];
};

export const noMoneyStates: MoneyStates = {
  slots: new Map(),
  outputs: new Map(),
  slotFacts: new Map(),
  outputFacts: new Map(),
};

/** A mutant replaces one of these. */
export interface HandoverMoneyParts extends PageParts {
  readonly spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook>;
  readonly mint: Machine<MintConfig, MintState, Mint>;
  readonly handover: Machine<HandoverConfig, HandoverState, HandoverProtocol>;
  readonly mintJob: typeof performMintJob;
  readonly merge: typeof mergeSnapshots;
  readonly check: typeof verifyEntries;
}

export const honestHandoverMoney: HandoverMoneyParts = {
  ...honestPageParts,
  spentbook,
  mint,
  handover,
  mintJob: performMintJob,
  merge: mergeSnapshots,
  check: verifyEntries,
};
