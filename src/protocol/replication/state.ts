/** One node's knowledge of what it keeps, what it should keep, and who else has it. */
import { matches, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { stampOf, type Item, type ItemId, type Stamp, type Stock } from './items.ts';
import type { ReplicationMessage } from './messages.ts';
import { adultsOf, isHolder, type Adult, type PlacedSection } from './placement.ts';

export interface ReplicationConfig {
  readonly networkId: Uint8Array;
  readonly self: Uint8Array;
  /** Signs confirmations in this node's own name. */
  readonly identitySeed: Uint8Array;
  readonly identity: IdentitySuite;
  readonly tickMs: number;
  /** N43: what repairs may move into this node per tick, on average. */
  readonly budgetBytesPerTick: number;
  /** How much of it may be saved up; at least one chunk, or nothing ever moves. */
  readonly budgetBurstBytes: number;
  /** All sources are asked again after so many ticks, whatever happened or not. */
  readonly relistEveryTicks: number;
}

/** One section as this machine needs it. */
export interface SectionView {
  readonly prefix: Prefix;
  readonly stamp: Stamp;
  readonly adults: readonly Adult[];
  readonly members: ReadonlySet<NodeId>;
  readonly elders: ReadonlySet<NodeId>;
}

export interface View {
  readonly own: SectionView;
  /** Other sections that this node knows, verified. */
  readonly others: readonly SectionView[];
}

/** How far a member has told what it has for us. */
export type Source =
  | { readonly kind: 'asking'; readonly after: ItemId; readonly askedAt: number }
  | { readonly kind: 'listed' };

/** Something to keep that is not here. */
export interface Wanted {
  readonly item: Item;
  /** Who named it first, and in whose share it counts. */
  readonly by: NodeId;
  /** Who has it, as it says itself or as an elder says. */
  readonly holders: readonly NodeId[];
  /** Those of them that said so themselves: only their promise can be empty. */
  readonly promised: readonly NodeId[];
  /** Who failed in this turn. */
  readonly tried: readonly NodeId[];
  /** Turns in which all failed. */
  readonly turns: number;
  /** Not before this tick. */
  readonly notBefore: number;
  /** A surplus copy was offered, or an elder asked: wanted whoever else has it. */
  readonly urgent: boolean;
}

export interface Fetching {
  readonly item: Item;
  readonly holder: NodeId;
  /** The holder said itself that it has the item. */
  readonly promised: boolean;
  /** Counted against the budget until the true size is known. */
  readonly reserved: number;
}

/** A surplus copy on its way out. */
export interface Handing {
  readonly item: Item;
  readonly nonce: Uint8Array;
  /** What an honest holder answers; `null` until our own bytes are read. */
  readonly proof: Uint8Array | null;
  readonly confirmedBy: readonly NodeId[];
  readonly askedAt: number;
  /** How often its holders were asked. */
  readonly asks: number;
}

/** A proof that was asked of our disk. */
export type Proving =
  | { readonly kind: 'handing'; readonly id: ItemId }
  | {
      readonly kind: 'answer';
      readonly to: NodeId;
      readonly item: Item;
      readonly nonce: Uint8Array;
      readonly challenge: Uint8Array;
    };

export interface FullnessReport {
  readonly counter: bigint;
  readonly full: boolean;
  /** The tick that brought it. */
  readonly at: number;
  /** How often it changed of late: each time its next change is believed later. */
  readonly flips: number;
}

export interface ReplicationState {
  /** While the disk is being walked, "I lack it" would be a guess. */
  readonly stock: { readonly kind: 'beingTaken' | 'taken'; readonly items: Stock };
  readonly view: View | null;
  /** Highest generation ever adopted, also in earlier lives. */
  readonly generation: bigint;
  /** Our own report and everybody else's, by node. */
  readonly ownFullness: { readonly counter: bigint; readonly full: boolean };
  readonly fullness: ReadonlyMap<NodeId, FullnessReport>;
  readonly sources: ReadonlyMap<NodeId, Source>;
  readonly wanted: ReadonlyMap<ItemId, Wanted>;
  readonly fetching: ReadonlyMap<string, Fetching>;
  readonly handing: ReadonlyMap<ItemId, Handing>;
  /** Where the search for surplus copies goes on; `null` when it is through. */
  readonly surplusAfter: ItemId | null;
  /** It begins once more when it is through: something changed behind it. */
  readonly surplusAgain: boolean;
  readonly proving: ReadonlyMap<string, Proving>;
  /** Answers that turned out empty or wrong in this round, by source. */
  readonly strikes: ReadonlyMap<NodeId, number>;
  readonly budgetBytes: number;
  readonly tick: number;
  /** When the present round of lists began, and when the next one has to. */
  readonly listedAt: number;
  readonly relistAt: number;
  readonly idsUsed: number;
}

export type FetchOutcome =
  /** Verified by `openItem` and on disk; the item as it really is. */
  | { readonly kind: 'stored'; readonly item: Item }
  /** Bytes came and are not what the name promises. */
  | { readonly kind: 'wrong'; readonly bytes: number }
  /** A genuine record of its owner, older than the one that was asked for. */
  | { readonly kind: 'older'; readonly bytes: number }
  /** "I do not have it." */
  | { readonly kind: 'lacking' }
  /** "It is not for you", "come back later": says nothing about what the holder has. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' }
  /** It came, but our own disk takes no more. */
  | { readonly kind: 'full'; readonly bytes: number };

export type ReplicationInput =
  /** A page of what is on disk, after a start. */
  | { readonly kind: 'found'; readonly items: readonly Item[] }
  /** The disk was walked to its end. */
  | { readonly kind: 'stockTaken' }
  /** A client's write is on disk. */
  | { readonly kind: 'stored'; readonly item: Item }
  /** A file turned out broken and was removed. */
  | { readonly kind: 'lost'; readonly item: Pick<Item, 'kind' | 'name'> }
  /** A newer sealed state of our section, and what is known of others. */
  | {
      readonly kind: 'adopted';
      readonly section: PlacedSection;
      readonly others: readonly PlacedSection[];
    }
  | { readonly kind: 'diskFull' }
  | { readonly kind: 'diskFreed' }
  | { readonly kind: 'fetched'; readonly id: string; readonly outcome: FetchOutcome }
  | { readonly kind: 'proved'; readonly id: string; readonly proof: Uint8Array | null };

export type ReplicationOutput =
  /** Get these bytes from the holder, check them with `openItem`, store them; say `fetched`. */
  | {
      readonly kind: 'fetch';
      readonly id: string;
      readonly holder: NodeId;
      readonly item: Item;
      readonly stamp: Stamp;
    }
  /** Hash our own copy with `proofOf`; say `proved`, with `null` when it is gone or broken. */
  | {
      readonly kind: 'prove';
      readonly id: string;
      readonly item: Item;
      readonly challenge: Uint8Array;
    }
  | { readonly kind: 'drop'; readonly item: Item }
  /** This peer speaks of a newer state than ours, or is a member of none that we know: ask for it. */
  | { readonly kind: 'behind'; readonly peer: NodeId };

export type ReplicationFault =
  /** Bytes that do not fit their name, or a proof that does not fit the bytes. */
  | { readonly kind: 'wrongBytes'; readonly culprit: NodeId; readonly item: Item }
  | { readonly kind: 'wrongProof'; readonly culprit: NodeId; readonly item: Item }
  /** Said it had something and did not: proves nothing, counts for fault detection. */
  | { readonly kind: 'emptyPromise'; readonly culprit: NodeId; readonly item: Item }
  | { readonly kind: 'wrongSignature'; readonly culprit: NodeId };

export type ReplicationFact =
  /** Bound to the name: after a relocation the generations of another section count. */
  | { readonly kind: 'adopted'; readonly self: Uint8Array; readonly generation: bigint }
  | { readonly kind: 'reported'; readonly counter: bigint; readonly full: boolean };

export interface Replication {
  readonly input: ReplicationInput;
  readonly message: ReplicationMessage;
  readonly fact: ReplicationFact;
  readonly output: ReplicationOutput;
  readonly fault: ReplicationFault;
  readonly timer: 'tick';
  readonly job: never;
  readonly result: never;
}

/** A step in the making: parts of a step pass it on. */
export interface Draft {
  readonly state: ReplicationState;
  readonly effects: readonly Effect<Replication>[];
}

export const and = (
  draft: Draft,
  change: Partial<ReplicationState>,
  ...effects: readonly Effect<Replication>[]
): Draft => ({ state: { ...draft.state, ...change }, effects: [...draft.effects, ...effects] });

export const viewOf = (section: PlacedSection): SectionView => ({
  prefix: section.prefix,
  stamp: stampOf(section),
  adults: adultsOf(section),
  members: new Set(section.members.map(({ name }) => nameToId(name))),
  elders: new Set(section.elders.map(({ name }) => nameToId(name))),
});

/** The section that answers for a name; of a parent and its child the child. */
export function covering(view: View, name: Uint8Array): SectionView | undefined {
  const fitting = [view.own, ...view.others].filter(({ prefix }) => matches(prefix, name));
  return fitting.reduce<SectionView | undefined>(
    (best, each) =>
      best === undefined || each.prefix.bitCount > best.prefix.bitCount ? each : best,
    undefined,
  );
}

export const isKnown = (view: View, id: NodeId): boolean =>
  [view.own, ...view.others].some(({ members }) => members.has(id));

export const selfId = (config: ReplicationConfig): NodeId => nameToId(config.self);

/** Everybody who says that its disk is full, this node included. */
export function fullOf(config: ReplicationConfig, state: ReplicationState): ReadonlySet<NodeId> {
  const full = new Set<NodeId>();
  for (const [id, report] of state.fullness) if (report.full) full.add(id);
  if (state.ownFullness.full) full.add(selfId(config));
  return full;
}

/** Who may keep what by the present view, with what does not change worked out once. */
export function keeper(
  config: ReplicationConfig,
  state: ReplicationState,
): (name: Uint8Array, id?: NodeId) => boolean {
  const { view } = state;
  if (view === null) return () => false;
  const full = fullOf(config, state);
  const self = selfId(config);
  return (name, id = self) => {
    const section = covering(view, name);
    return section !== undefined && isHolder(section.adults, name, id, full);
  };
}
