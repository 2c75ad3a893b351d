/** What an elder, a client and a liar of `seal` know, say and write down, and its parts (seal-net.ts). */
import type { KeyedState } from './keyed.ts';
import type { Effect, Machine } from '#core/machine.ts';
import type { MoneySection, SectionKeys } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { checkEntries, mergeSnapshots, type SealedEntry } from '#money/snapshot.ts';
import {
  handover,
  type Handover,
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
import { honestPages, type Grown, type PageParts, type SealedArchive } from './paged-list.ts';
import type { ClientState, PayingFact, PayingInput, PayingMessage } from './paying-client.ts';

/** A key this node holds a share of. */
export interface Term {
  readonly section: MoneySection;
  readonly known: SectionKeys;
  readonly secretShare: Uint8Array;
}

export type SealConfig =
  | {
      readonly kind: 'elder';
      readonly name: Uint8Array;
      readonly identitySeed: Uint8Array;
      readonly identity: IdentitySuite;
      readonly handover: HandoverConfig;
      /** Its share of the old key, if it had one. */
      readonly old: Term | null;
      /** Its share of a new key, if it gets one. */
      readonly heir: Term | null;
      readonly archives: readonly SealedArchive[];
      /** A liar leaves this out of its snapshot, and goes on signing. */
      readonly hides: boolean;
    }
  | { readonly kind: 'client'; readonly payment: PaymentConfig }
  /** Sends these bytes to everybody in `to` whenever it is told to go. */
  | {
      readonly kind: 'mallory';
      readonly to: readonly string[];
      readonly messages: readonly SealMessage[];
    };

export type SealMessage =
  PayingMessage | { readonly kind: 'handover'; readonly message: Uint8Array };

export type Where = 'old' | 'heir';

export type SealFact =
  | {
      readonly kind: 'spentbook';
      readonly at: Where;
      readonly key: string;
      readonly fact: SpentbookFact;
    }
  | { readonly kind: 'mint'; readonly at: Where; readonly key: string; readonly fact: MintFact }
  | { readonly kind: 'closed' }
  | { readonly kind: 'moneySealed' }
  | { readonly kind: 'handover'; readonly bytes: Uint8Array }
  | { readonly kind: 'page'; readonly page: SnapshotPage }
  | {
      readonly kind: 'list';
      readonly elder: number | null;
      readonly entries: readonly SealedEntry[];
    }
  | PayingFact;

export type SealOutput =
  | { readonly kind: 'said'; readonly at: Where; readonly message: Uint8Array }
  | { readonly kind: 'registered'; readonly at: Where; readonly entry: Uint8Array }
  | { readonly kind: 'payment'; readonly output: Payment['output'] }
  | { readonly kind: 'handover'; readonly output: Handover['output'] };

export type SealJob =
  | { readonly kind: 'spentbook'; readonly job: Spentbook['job'] }
  | { readonly kind: 'mint'; readonly job: Mint['job'] }
  | { readonly kind: 'payment'; readonly job: Payment['job'] }
  | { readonly kind: 'handover'; readonly job: Handover['job'] };

export interface Seal {
  readonly input:
    | PayingInput
    | { readonly kind: 'close' }
    | { readonly kind: 'cited'; readonly snapshots: readonly SignedSnapshot[] }
    | { readonly kind: 'sealed'; readonly state: SectionState };
  readonly message: SealMessage;
  readonly fact: SealFact;
  readonly output: SealOutput;
  readonly fault: Spentbook['fault'] | Mint['fault'] | Payment['fault'] | Handover['fault'];
  readonly timer: string;
  readonly job: SealJob;
  readonly result: unknown;
}

export interface Books {
  readonly slots: KeyedState<SpentbookState>;
  readonly outputs: KeyedState<MintState>;
  readonly slotFacts: ReadonlyMap<string, readonly SpentbookFact[]>;
  readonly outputFacts: ReadonlyMap<string, readonly MintFact[]>;
}

export interface ElderState {
  readonly kind: 'elder';
  readonly old: Books;
  readonly heir: Books;
  /** R6: money of the old key has stopped. */
  readonly sealed: boolean;
  /** Money of the new key has begun. */
  readonly active: boolean;
  readonly handover: HandoverState | null;
  /** By hex of the root: what can be served. */
  readonly lists: ReadonlyMap<string, readonly SealedEntry[]>;
  /** By hex of the root: the pages that came so far. */
  readonly arriving: ReadonlyMap<string, Grown>;
  readonly archives: readonly SealedArchive[];
  /** What a fetch is for: the elder whose snapshot it is, or null for the merged list. */
  readonly wanted: ReadonlyMap<string, number | null>;
  readonly fetches: number;
}

export type SealState = ElderState | ClientState | { readonly kind: 'mallory' };

export type ElderConfig = SealConfig & { readonly kind: 'elder' };
export type ElderStep = { readonly state: ElderState; readonly effects: readonly Effect<Seal>[] };

export const noBooks: Books = {
  slots: new Map(),
  outputs: new Map(),
  slotFacts: new Map(),
  outputFacts: new Map(),
};

/** A mutant replaces one of these. */
export interface SealParts extends PageParts {
  readonly spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook>;
  readonly mint: Machine<MintConfig, MintState, Mint>;
  readonly handover: Machine<HandoverConfig, HandoverState, Handover>;
  readonly mintJob: typeof performMintJob;
  readonly merge: typeof mergeSnapshots;
  readonly check: typeof checkEntries;
}

export const honestSeal: SealParts = {
  ...honestPages,
  spentbook,
  mint,
  handover,
  mintJob: performMintJob,
  merge: mergeSnapshots,
  check: checkEntries,
};
