/** What a whole node of the simulator knows, says and writes down (whole-node.ts). */
import type { KeyedState } from './keyed.ts';
import type { Effect } from '#core/machine.ts';
import type { GenesisOutput, MoneySection } from '#money/certificate.ts';
import type { SealedEntry } from '#money/snapshot.ts';
import type { Inheritance, SnapshotPage } from '#protocol/handover/index.ts';
import type { Mint, MintFact, MintState } from '#protocol/mint/index.ts';
import type { Spentbook, SpentbookFact, SpentbookState } from '#protocol/spentbook/index.ts';
import type {
  SectionNode,
  SectionNodeConfig,
  SectionNodeOutput,
  SectionNodeState,
} from '#roles/section-node/index.ts';
import type { Payment, PaymentConfig } from '#safe/payment/index.ts';
import type { Grown } from './paged-list.ts';
import type { ClientState, PayingFact, PayingInput, PayingMessage } from './paying-client.ts';
import type { Adult, AdultConfig, AdultState } from './replication-net.ts';

export type WholeConfig =
  | {
      readonly kind: 'node';
      readonly section: SectionNodeConfig;
      readonly store: AdultConfig;
      readonly genesisOutput: GenesisOutput;
    }
  | { readonly kind: 'client'; readonly payment: PaymentConfig };

export type WholeMessage =
  | { readonly kind: 'section'; readonly message: SectionNode['message'] }
  | { readonly kind: 'store'; readonly message: Adult['message'] }
  | PayingMessage;

export type WholeFact =
  | { readonly kind: 'section'; readonly fact: SectionNode['fact'] }
  | { readonly kind: 'store'; readonly fact: Adult['fact'] }
  | {
      readonly kind: 'slot';
      readonly at: string;
      readonly key: string;
      readonly fact: SpentbookFact;
    }
  | { readonly kind: 'listed'; readonly at: string; readonly key: string; readonly fact: MintFact }
  | { readonly kind: 'stopped'; readonly at: string }
  | { readonly kind: 'entries'; readonly entries: readonly SealedEntry[] }
  | { readonly kind: 'page'; readonly page: SnapshotPage }
  | PayingFact;

export type WholeOutput =
  | { readonly kind: 'section'; readonly output: SectionNodeOutput }
  /** A share or acknowledgement of money leaves, under this key (hex). */
  | { readonly kind: 'said'; readonly at: string; readonly word: string }
  | { readonly kind: 'registered'; readonly at: string; readonly entry: Uint8Array }
  | { readonly kind: 'payment'; readonly output: Payment['output'] };

export type WholeJob =
  | { readonly kind: 'section'; readonly job: SectionNode['job'] }
  | { readonly kind: 'spentbook'; readonly job: Spentbook['job'] }
  | { readonly kind: 'mint'; readonly job: Mint['job'] }
  | { readonly kind: 'payment'; readonly job: Payment['job'] };

export interface Whole {
  readonly input:
    | { readonly kind: 'section'; readonly input: SectionNode['input'] }
    | { readonly kind: 'store'; readonly input: Adult['input'] }
    | PayingInput;
  readonly message: WholeMessage;
  readonly fact: WholeFact;
  readonly output: WholeOutput;
  readonly fault:
    SectionNode['fault'] | Adult['fault'] | Spentbook['fault'] | Mint['fault'] | Payment['fault'];
  readonly timer: string;
  readonly job: WholeJob;
  readonly result: unknown;
}

/** What one key wrote at this node. */
export interface Ledger {
  readonly slots: ReadonlyMap<string, readonly SpentbookFact[]>;
  readonly outputs: ReadonlyMap<string, readonly MintFact[]>;
}

/** Open books: of the key in force, once all that earlier keys sealed is here. */
export interface Books {
  /** Hex of the key. */
  readonly at: string;
  readonly section: MoneySection;
  readonly secretShare: Uint8Array;
  readonly inheritance: Inheritance;
  readonly slots: KeyedState<SpentbookState>;
  readonly outputs: KeyedState<MintState>;
}

export interface NodeState {
  readonly kind: 'node';
  readonly section: SectionNodeState;
  readonly store: AdultState;
  readonly books: Books | null;
  readonly ledgers: ReadonlyMap<string, Ledger>;
  /** R6, by hex of the key: durably stopped. */
  readonly stopped: ReadonlySet<string>;
  /** By hex of the root. */
  readonly lists: ReadonlyMap<string, readonly SealedEntry[]>;
  /** By hex of the root: the pages that came so far. */
  readonly arriving: ReadonlyMap<string, Grown>;
  /** By hex of the root: whose snapshot, or null for what a key left. */
  readonly wanted: ReadonlyMap<string, Want>;
  readonly asked: number;
}

export interface Want {
  readonly key: Uint8Array;
  readonly root: Uint8Array;
  readonly elder: number | null;
  readonly from: readonly string[];
}

export type WholeState = NodeState | ClientState;

export type NodeConfig = WholeConfig & { readonly kind: 'node' };
export interface Draft {
  readonly state: NodeState;
  readonly effects: readonly Effect<Whole>[];
}

export const noLedger: Ledger = { slots: new Map(), outputs: new Map() };

export const grown = (
  draft: Draft,
  change: Partial<NodeState>,
  ...effects: readonly Effect<Whole>[]
): Draft => ({
  state: { ...draft.state, ...change },
  effects: effects.length === 0 ? draft.effects : [...draft.effects, ...effects],
});
