/** Listing: members send each other, page by page, the items that the other must store. */
import type { StateRef } from '#data/storage-receipt.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { extend } from '#core/step.ts';
import { heldItem, isAtLeast, isSameRank, itemId, sizeFits, scanInventory } from './items.ts';
import type { ReplicationMessage } from './messages.ts';
import {
  holderTest,
  selfId,
  type ReplicationStep,
  type Replication,
  type ReplicationConfig,
  type ReplicationState,
  type ListingSource,
  type MissingItem,
} from './state.ts';

/** One page: 128 × 50 B, a few kB. */
export const maxListedItems = 128;
/** Names scanned for one page: 1–2 ms, so that no step is long. */
export const maxScannedItems = 2_000;
/** Concurrent listing requests. */
const maxListRequests = 8;
/** Known missing items; at this number no further ones are requested. */
export const maxMissingItems = 4_096;
/** Of these per peer, so that invented items leave room for those of others. */
export const maxMissingPerPeer = 1_024;
/** Failed answers of one source per round, after which its listings are ignored. */
export const maxStrikes = 3;
/** A page is requested again after this many ticks without an answer. */
const pageTicks = 3;

/** REPLICATION-R3: every other member may hold a missing item; elders too, from when they were adults. */
export function restartListing(config: ReplicationConfig, step: ReplicationStep): ReplicationStep {
  const { state } = step;
  const { view, tick } = state;
  const relistAt = tick + config.relistEveryTicks;
  const self = selfId(config);
  if (view === null || !view.own.adults.some(({ id }) => id === self)) {
    const nothing = { sources: new Map(), missing: new Map(), relistAt };
    return extend(step, { ...nothing, ...restartSurplusScan(state) });
  }
  const sources = new Map<NodeId, ListingSource>();
  for (const id of view.own.members) {
    if (id !== self) sources.set(id, { kind: 'asking', after: '', askedAt: -pageTicks });
  }
  const keeps = holderTest(config, state);
  const missing = new Map<string, MissingItem>();
  for (const [id, each] of state.missing) {
    if (each.urgent && keeps(each.item.name)) missing.set(id, each);
  }
  return extend(step, {
    sources,
    missing,
    strikes: new Map(),
    listedAt: tick,
    relistAt,
    ...restartSurplusScan(state),
  });
}

/**
 * Scans all copies for surplus ones, after a running scan ends: restarted with every write, a scan
 * would never end.
 */
export const restartSurplusScan = ({
  surplusAfter,
}: ReplicationState): Pick<ReplicationState, 'surplusAfter' | 'surplusAgain'> =>
  surplusAfter === null
    ? { surplusAfter: '', surplusAgain: false }
    : { surplusAfter, surplusAgain: true };

/** Requests pages from the sources that have waited longest, a few at a time. */
export function requestListings(step: ReplicationStep): ReplicationStep {
  const { state } = step;
  const { tick, view } = state;
  if (view === null || state.inventory.kind !== 'complete' || state.ownDiskFull.full) return step;
  const asking = [...state.sources].flatMap(([id, source]) =>
    source.kind === 'asking' ? [{ id, source }] : [],
  );
  const isDue = (source: { readonly askedAt: number }): boolean =>
    source.askedAt + pageTicks <= tick;
  const inProgress = asking.filter(({ source }) => !isDue(source)).length;
  const shares = missingCountByPeer(state.missing);
  const room = Math.floor((maxMissingItems - state.missing.size) / maxListedItems);
  const most = Math.max(0, Math.min(maxListRequests - inProgress, room));
  const chosen = asking
    .filter(({ id, source }) => isDue(source) && remainingQuota(shares, id) >= maxListedItems)
    .sort((a, b) => a.source.askedAt - b.source.askedAt)
    .slice(0, most);
  const sources = new Map(state.sources);
  const sends: Effect<Replication>[] = [];
  for (const { id, source } of chosen) {
    sources.set(id, { ...source, askedAt: tick });
    const message = { kind: 'list', stateRef: view.own.stateRef, after: source.after } as const;
    sends.push({ kind: 'send', to: [id], message });
  }
  return extend(step, { sources }, ...sends);
}

/** REPLICATION-R4: sends a member only items that the sealed state makes it store. */
export function answerList(
  config: ReplicationConfig,
  step: ReplicationStep,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'list' }>,
): ReplicationStep {
  const { state } = step;
  const { view } = state;
  if (view === null || state.inventory.kind !== 'complete' || !view.own.members.has(from))
    return step;
  const keeps = holderTest(config, state);
  const noticed = noticeNewerState(step, from, message.stateRef);
  const { items, next } = scanInventory(
    state.inventory.items,
    message.after,
    maxScannedItems,
    maxListedItems,
    (item) => keeps(item.name, from),
  );
  const { after } = message;
  const listing = { kind: 'listing', stateRef: view.own.stateRef, after, items, next } as const;
  return extend(noticed, {}, { kind: 'send', to: [from], message: listing });
}

export function onListing(
  config: ReplicationConfig,
  step: ReplicationStep,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'listing' }>,
): ReplicationStep {
  const { state } = step;
  const { view } = state;
  const source = state.sources.get(from);
  if (view === null || source?.kind !== 'asking' || source.after !== message.after) return step;
  // An older state may not include us as a holder, so its listing may have gaps.
  if (message.stateRef.generation < view.own.stateRef.generation) return step;
  const distrusted = (state.strikes.get(from) ?? 0) >= maxStrikes;
  const hasMore = message.next !== null && message.next > message.after && !distrusted;
  const sources = new Map(state.sources).set(
    from,
    hasMore && message.next !== null
      ? // After a full page continue immediately, after an empty one in the next tick.
        {
          kind: 'asking',
          after: message.next,
          askedAt: state.tick - pageTicks + (message.items.length > 0 ? 0 : 1),
        }
      : { kind: 'listed' },
  );
  const keeps = holderTest(config, state);
  const missing = new Map(state.missing);
  for (const item of distrusted ? [] : message.items) {
    const id = itemId(item);
    const own = heldItem(state.inventory.items, id);
    if (own !== undefined && isAtLeast(own, item)) continue;
    if (!sizeFits(item) || !keeps(item.name)) continue;
    if (missing.size < maxMissingItems || missing.has(id))
      missing.set(id, withHolder(missing.get(id), item, { by: from, holder: from, urgent: false }));
  }
  return extend(noticeNewerState(step, from, message.stateRef), { sources, missing });
}

/** Adds a holder of a missing item; a newer version replaces the holders of an older one. */
export function withHolder(
  known: MissingItem | undefined,
  item: MissingItem['item'],
  {
    by: namedBy,
    holder,
    urgent,
  }: { readonly by: NodeId; readonly holder: NodeId; readonly urgent: boolean },
): MissingItem {
  const claimedBy = namedBy === holder ? [holder] : [];
  if (known === undefined || !isAtLeast(known.item, item)) {
    return {
      item,
      namedBy,
      holders: [holder],
      claimedBy,
      tried: [],
      attempts: 0,
      notBefore: 0,
      urgent,
    };
  }
  const isSame = isSameRank(known.item, item);
  const joined = (ids: readonly NodeId[], more: readonly NodeId[]): readonly NodeId[] =>
    isSame ? [...ids, ...more.filter((id) => !ids.includes(id))] : ids;
  return {
    ...known,
    holders: joined(known.holders, [holder]),
    claimedBy: joined(known.claimedBy, claimedBy),
    urgent: known.urgent || urgent,
  };
}

/** Missing items per peer that listed them. */
export function missingCountByPeer(
  wanted: ReadonlyMap<string, MissingItem>,
): ReadonlyMap<NodeId, number> {
  const shares = new Map<NodeId, number>();
  for (const { namedBy } of wanted.values()) shares.set(namedBy, (shares.get(namedBy) ?? 0) + 1);
  return shares;
}

export const remainingQuota = (shares: ReadonlyMap<NodeId, number>, id: NodeId): number =>
  maxMissingPerPeer - (shares.get(id) ?? 0);

/** A peer with a newer state of its section than ours is asked for that state. */
export function noticeNewerState(
  step: ReplicationStep,
  peer: NodeId,
  stateRef: StateRef,
): ReplicationStep {
  const { view } = step.state;
  const section = [view?.own, ...(view?.others ?? [])].find((each) => each?.members.has(peer));
  if (section === undefined || stateRef.generation <= section.stateRef.generation) return step;
  return extend(step, {}, { kind: 'output', output: { kind: 'behind', peer } });
}
