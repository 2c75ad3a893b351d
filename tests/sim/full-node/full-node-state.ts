/** State, messages and facts of a full node in the simulator (full-node.ts). */
import type { Keyed, KeyedState } from '../keyed.ts';
import type { Effect } from '#core/machine.ts';
import type { GenesisOutput, MoneySection } from '#money/spend-certificate.ts';
import type { SnapshotEntry } from '#money/snapshot.ts';
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
import type { PartialList } from '../handover-money/paged-list.ts';
import type {
  PayingClientState,
  PayingFact,
  PayingInput,
  PayingMessage,
  Paying,
} from '../payment/paying-client.ts';
import type { SimAdult, AdultConfig, AdultState } from '../replication/replication-net.ts';

export type FullNodeConfig =
  | {
      readonly kind: 'node';
      readonly section: SectionNodeConfig;
      readonly store: AdultConfig;
      readonly genesisOutput: GenesisOutput;
    }
  | { readonly kind: 'client'; readonly payment: PaymentConfig };

export type FullNodeMessage =
  | { readonly kind: 'section'; readonly message: SectionNode['message'] }
  | { readonly kind: 'store'; readonly message: SimAdult['message'] }
  | PayingMessage;

export type FullNodeFact =
  | { readonly kind: 'section'; readonly fact: SectionNode['fact'] }
  | { readonly kind: 'store'; readonly fact: SimAdult['fact'] }
  | {
      readonly kind: 'slot';
      readonly at: string;
      readonly key: string;
      readonly fact: SpentbookFact;
    }
  | { readonly kind: 'listed'; readonly at: string; readonly key: string; readonly fact: MintFact }
  | { readonly kind: 'stopped'; readonly at: string }
  | { readonly kind: 'entries'; readonly entries: readonly SnapshotEntry[] }
  | { readonly kind: 'page'; readonly page: SnapshotPage }
  | PayingFact;

export type FullNodeOutput =
  | { readonly kind: 'section'; readonly output: SectionNodeOutput }
  /** A share or acknowledgement of money is sent under this key (hex). */
  | { readonly kind: 'sent'; readonly at: string; readonly payload: string }
  | { readonly kind: 'registered'; readonly at: string; readonly entry: Uint8Array }
  | { readonly kind: 'payment'; readonly output: Payment['output'] };

export type FullNodeJob =
  | { readonly kind: 'section'; readonly job: SectionNode['job'] }
  | { readonly kind: 'spentbook'; readonly job: Spentbook['job'] }
  | { readonly kind: 'mint'; readonly job: Mint['job'] }
  | { readonly kind: 'payment'; readonly job: Payment['job'] };

export interface FullNodeProtocol {
  readonly input:
    | { readonly kind: 'section'; readonly input: SectionNode['input'] }
    | { readonly kind: 'store'; readonly input: SimAdult['input'] }
    | PayingInput;
  readonly message: FullNodeMessage;
  readonly fact: FullNodeFact;
  readonly output: FullNodeOutput;
  readonly fault:
    | SectionNode['fault']
    | SimAdult['fault']
    | Spentbook['fault']
    | Mint['fault']
    | Payment['fault'];
  readonly timer:
    | { readonly owner: 'section'; readonly timer: SectionNode['timer'] }
    | { readonly owner: 'store'; readonly timer: SimAdult['timer'] }
    | Paying['timer'];
  readonly job: FullNodeJob;
  readonly jobId:
    | { readonly kind: 'slot'; readonly at: string; readonly id: Keyed<Spentbook>['jobId'] }
    | { readonly kind: 'output'; readonly at: string; readonly id: Keyed<Mint>['jobId'] }
    | { readonly kind: 'section'; readonly id: SectionNode['jobId'] }
    | Paying['jobId'];
  readonly result: unknown;
}

/** Money facts that this node wrote under one key. */
export interface MoneyFactsOfKey {
  readonly slots: ReadonlyMap<string, readonly SpentbookFact[]>;
  readonly outputs: ReadonlyMap<string, readonly MintFact[]>;
}

/** Money state of the current key, present once everything that earlier keys sealed is here. */
export interface ActiveMoney {
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
  readonly money: ActiveMoney | null;
  readonly ledgers: ReadonlyMap<string, MoneyFactsOfKey>;
  /** SPENTBOOK-R6, by hex of the key: durably stopped. */
  readonly stopped: ReadonlySet<string>;
  /** By hex of the root. */
  readonly lists: ReadonlyMap<string, readonly SnapshotEntry[]>;
  /** By hex of the root: the pages received so far. */
  readonly arriving: ReadonlyMap<string, PartialList>;
  /** By hex of the root: the elder of a snapshot, or null for a key's merged list. */
  readonly wanted: ReadonlyMap<string, WantedList>;
  readonly asked: number;
}

export interface WantedList {
  readonly key: Uint8Array;
  readonly root: Uint8Array;
  readonly elder: number | null;
  readonly from: readonly string[];
}

export type FullNodeSimState = NodeState | PayingClientState;

export type NodeConfig = FullNodeConfig & { readonly kind: 'node' };
export interface NodeDraft {
  readonly state: NodeState;
  readonly effects: readonly Effect<FullNodeProtocol>[];
}

export const noMoneyFacts: MoneyFactsOfKey = { slots: new Map(), outputs: new Map() };

export const withChange = (
  draft: NodeDraft,
  change: Partial<NodeState>,
  ...effects: readonly Effect<FullNodeProtocol>[]
): NodeDraft => ({
  state: { ...draft.state, ...change },
  effects: effects.length === 0 ? draft.effects : [...draft.effects, ...effects],
});
