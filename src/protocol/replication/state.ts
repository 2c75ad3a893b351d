/** State of one node: items stored, items missing, and their holders. */
import { matches, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import type { NodeId, Step } from '#core/machine.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { StateRef } from '#data/storage-receipt.ts';
import { stateRefOf, type Item, type ItemId, type Inventory } from './items.ts';
import type { ReplicationMessage } from './messages.ts';
import { adultsOf, isHolder, type Adult, type PlacedSection } from './placement.ts';

export interface ReplicationConfig {
  readonly networkId: Uint8Array;
  readonly self: Uint8Array;
  /** Signs this node's confirmations. */
  readonly identitySeed: Uint8Array;
  readonly identity: IdentitySuite;
  readonly tickMs: number;
  /** N43: average bytes per tick that repairs may fetch. */
  readonly budgetBytesPerTick: number;
  /** Maximum accumulated budget; at least one chunk, or no fetch ever starts. */
  readonly budgetBurstBytes: number;
  /** All sources are listed again after this many ticks in any case. */
  readonly relistEveryTicks: number;
}

/** One section, as this machine uses it. */
export interface PlacementView {
  readonly prefix: Prefix;
  readonly stateRef: StateRef;
  readonly adults: readonly Adult[];
  readonly members: ReadonlySet<NodeId>;
  readonly elders: ReadonlySet<NodeId>;
}

export interface PlacementMap {
  readonly own: PlacementView;
  /** Other known sections, verified. */
  readonly others: readonly PlacementView[];
}

/** Progress of the listing from one member. */
export type ListingSource =
  | { readonly kind: 'asking'; readonly after: ItemId; readonly askedAt: number }
  | { readonly kind: 'listed' };

/** An item this node must store but lacks. */
export interface MissingItem {
  readonly item: Item;
  /** The peer that named it first; it counts towards that peer's quota. */
  readonly namedBy: NodeId;
  /** Nodes that have it, by their own listing or by an elder's message. */
  readonly holders: readonly NodeId[];
  /** Holders that listed it themselves: only they can be blamed for lacking it. */
  readonly claimedBy: readonly NodeId[];
  /** Holders that failed in this round. */
  readonly tried: readonly NodeId[];
  /** Rounds in which all holders failed. */
  readonly attempts: number;
  /** Tick of the next attempt. */
  readonly notBefore: number;
  /** Offered as a surplus copy, or requested by an elder: fetch it however many copies exist. */
  readonly urgent: boolean;
}

export interface Fetching {
  readonly item: Item;
  readonly holder: NodeId;
  /** The holder listed the item itself. */
  readonly claimed: boolean;
  /** Reserved from the budget until the true size is known. */
  readonly reservedBytes: number;
}

/** A surplus copy being offered to its holders. */
export interface Handoff {
  readonly item: Item;
  readonly nonce: Uint8Array;
  /** The proof an honest holder sends; `null` until our own bytes are read. */
  readonly proof: Uint8Array | null;
  readonly confirmedBy: readonly NodeId[];
  readonly askedAt: number;
  /** Times its holders were asked. */
  readonly asks: number;
}

/** A proof requested from our own disk. */
export type PendingProof =
  | { readonly kind: 'handoff'; readonly id: ItemId }
  | {
      readonly kind: 'answer';
      readonly to: NodeId;
      readonly item: Item;
      readonly nonce: Uint8Array;
      readonly challenge: Uint8Array;
    };

export interface DiskFullReport {
  readonly counter: bigint;
  readonly full: boolean;
  /** The tick in which it last changed. */
  readonly at: number;
  /** Recent changes: each one delays the acceptance of the next. */
  readonly recentChanges: number;
}

export interface ReplicationState {
  /** While `scanning`, a missing item may still be found on disk. */
  readonly inventory: { readonly kind: 'scanning' | 'complete'; readonly items: Inventory };
  readonly view: PlacementMap | null;
  /** Highest generation ever adopted, including previous runs. */
  readonly generation: bigint;
  /** This node's own report, and those of other nodes. */
  readonly ownDiskFull: { readonly counter: bigint; readonly full: boolean };
  readonly diskFullReports: ReadonlyMap<NodeId, DiskFullReport>;
  readonly sources: ReadonlyMap<NodeId, ListingSource>;
  readonly missing: ReadonlyMap<ItemId, MissingItem>;
  readonly fetching: ReadonlyMap<string, Fetching>;
  readonly handoffs: ReadonlyMap<ItemId, Handoff>;
  /** Cursor of the scan for surplus copies; `null` when it has ended. */
  readonly surplusAfter: ItemId | null;
  /** Scan once more afterwards: items behind the cursor changed. */
  readonly surplusAgain: boolean;
  readonly pendingProofs: ReadonlyMap<string, PendingProof>;
  /** Failed answers in this round, by source. */
  readonly strikes: ReadonlyMap<NodeId, number>;
  readonly budgetBytes: number;
  readonly tick: number;
  /** Ticks at which the current listing round began and the next one begins. */
  readonly listedAt: number;
  readonly relistAt: number;
  readonly idsUsed: number;
}

export type FetchOutcome =
  /** Verified by `openItem` and on disk; the item that was really stored. */
  | { readonly kind: 'stored'; readonly item: Item }
  /** The bytes do not match the name. */
  | { readonly kind: 'wrong'; readonly bytes: number }
  /** A valid record of its owner, older than the one requested. */
  | { readonly kind: 'older'; readonly bytes: number }
  /** The holder does not have it. */
  | { readonly kind: 'missing' }
  /** Not authorized, or busy: shows nothing about what the holder stores. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'unresponsive' }
  /** Received, but our own disk is full. */
  | { readonly kind: 'full'; readonly bytes: number };

export type ReplicationInput =
  /** A page of the items on disk, after a start. */
  | { readonly kind: 'found'; readonly items: readonly Item[] }
  /** All items on disk were reported. */
  | { readonly kind: 'inventoryComplete' }
  /** A client's write is on disk. */
  | { readonly kind: 'stored'; readonly item: Item }
  /** A file was corrupt and was removed. */
  | { readonly kind: 'lost'; readonly item: Pick<Item, 'kind' | 'name'> }
  /** A newer sealed state of our section, and the known states of others. */
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
  /**
   * Fetch these bytes from the holder, verify with `openItem`, store them; then input `fetched`.
   */
  | {
      readonly kind: 'fetch';
      readonly id: string;
      readonly holder: NodeId;
      readonly item: Item;
      readonly stateRef: StateRef;
    }
  /** Hash our copy with `possessionProof`; then input `proved`, `null` if it is gone or corrupt. */
  | {
      readonly kind: 'prove';
      readonly id: string;
      readonly item: Item;
      readonly challenge: Uint8Array;
    }
  | { readonly kind: 'drop'; readonly item: Item }
  /** Ask this peer for its state: it has a newer one, or is a member of no known section. */
  | { readonly kind: 'behind'; readonly peer: NodeId };

export type ReplicationFault =
  /** Bytes do not match their name, or a proof does not match the bytes. */
  | { readonly kind: 'wrongBytes'; readonly culprit: NodeId; readonly item: Item }
  | { readonly kind: 'wrongProof'; readonly culprit: NodeId; readonly item: Item }
  /** Listed an item and did not have it: no proof of misbehaviour, counted by fault detection. */
  | { readonly kind: 'missingCopy'; readonly culprit: NodeId; readonly item: Item }
  | { readonly kind: 'wrongSignature'; readonly culprit: NodeId };

export type ReplicationFact =
  /** With the own name: after a relocation the generations of another section count. */
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
  readonly jobId: never;
  readonly result: never;
}

/** A step as far as it has come; every part extends it. */
export type ReplicationStep = Step<ReplicationState, Replication>;

export const placementViewOf = (section: PlacedSection): PlacementView => ({
  prefix: section.prefix,
  stateRef: stateRefOf(section),
  adults: adultsOf(section),
  members: new Set(section.members.map(({ name }) => nameToId(name))),
  elders: new Set(section.elders.map(({ name }) => nameToId(name))),
});

/** The section responsible for a name; of a parent and its child the child. */
export function coveringSection(view: PlacementMap, name: Uint8Array): PlacementView | undefined {
  const fitting = [view.own, ...view.others].filter(({ prefix }) => matches(prefix, name));
  return fitting.reduce<PlacementView | undefined>(
    (best, each) =>
      best === undefined || each.prefix.bitCount > best.prefix.bitCount ? each : best,
    undefined,
  );
}

export const isKnown = (view: PlacementMap, id: NodeId): boolean =>
  [view.own, ...view.others].some(({ members }) => members.has(id));

export const selfId = (config: ReplicationConfig): NodeId => nameToId(config.self);

/** All nodes that reported a full disk, this one included. */
export function fullMembersOf(
  config: ReplicationConfig,
  state: ReplicationState,
): ReadonlySet<NodeId> {
  const full = new Set<NodeId>();
  for (const [id, report] of state.diskFullReports) if (report.full) full.add(id);
  if (state.ownDiskFull.full) full.add(selfId(config));
  return full;
}

/**
 * Returns a test whether a node may store a name by the current view, with shared work done once.
 */
export function holderTest(
  config: ReplicationConfig,
  state: ReplicationState,
): (name: Uint8Array, id?: NodeId) => boolean {
  const { view } = state;
  if (view === null) return () => false;
  const full = fullMembersOf(config, state);
  const self = selfId(config);
  return (name, id = self) => {
    const section = coveringSection(view, name);
    return section !== undefined && isHolder(section.adults, name, id, full);
  };
}
