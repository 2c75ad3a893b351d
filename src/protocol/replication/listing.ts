/** Learning names: members tell each other, page by page, what the other one has to keep. */
import type { Effect, NodeId } from '#core/machine.ts';
import { held, isAtLeast, isSameRank, itemId, sizeFits, walk, type Stamp } from './items.ts';
import type { ReplicationMessage } from './messages.ts';
import {
  and,
  keeper,
  selfId,
  type Draft,
  type Replication,
  type ReplicationConfig,
  type ReplicationState,
  type Source,
  type Wanted,
} from './state.ts';

/** One page: 128 × 50 B, a few kB. */
export const maxListedItems = 128;
/** Names looked at for one page: a millisecond or two, so that no step is long. */
export const maxScannedItems = 2_000;
/** Sources asked at the same time. */
const maxListsAsked = 8;
/** Names known to be missing; more are asked for when these are here. */
export const maxWanted = 4_096;
/** Of these one peer may name so many: whatever it invents, others' items find room. */
export const maxWantedPerPeer = 1_024;
/** Empty answers of one source in one round; then its lists are not believed any more. */
export const maxStrikes = 3;
/** A page that did not come within so many ticks is asked for again. */
const pageTicks = 3;

/** R3: every other member may have what we lack, elders too: they were adults. */
export function relist(config: ReplicationConfig, draft: Draft): Draft {
  const { state } = draft;
  const { view, tick } = state;
  const relistAt = tick + config.relistEveryTicks;
  const self = selfId(config);
  if (view === null || !view.own.adults.some(({ id }) => id === self)) {
    const nothing = { sources: new Map(), wanted: new Map(), relistAt };
    return and(draft, { ...nothing, ...lookAgain(state) });
  }
  const sources = new Map<NodeId, Source>();
  for (const id of view.own.members) {
    if (id !== self) sources.set(id, { kind: 'asking', after: '', askedAt: -pageTicks });
  }
  const keeps = keeper(config, state);
  const wanted = new Map<string, Wanted>();
  for (const [id, each] of state.wanted) {
    if (each.urgent && keeps(each.item.name)) wanted.set(id, each);
  }
  return and(draft, {
    sources,
    wanted,
    strikes: new Map(),
    listedAt: tick,
    relistAt,
    ...lookAgain(state),
  });
}

/**
 * All copies are looked at for surplus ones (once more). A search under way goes on to its end
 * first: begun anew with every write, it would never get there.
 */
export const lookAgain = ({
  surplusAfter,
}: ReplicationState): Pick<ReplicationState, 'surplusAfter' | 'surplusAgain'> =>
  surplusAfter === null
    ? { surplusAfter: '', surplusAgain: false }
    : { surplusAfter, surplusAgain: true };

/** Asks who was not asked for the longest time, a few at once. */
export function askSources(draft: Draft): Draft {
  const { state } = draft;
  const { tick, view } = state;
  if (view === null || state.stock.kind !== 'taken' || state.ownFullness.full) return draft;
  const asking = [...state.sources].flatMap(([id, source]) =>
    source.kind === 'asking' ? [{ id, source }] : [],
  );
  const isDue = (source: { readonly askedAt: number }): boolean =>
    source.askedAt + pageTicks <= tick;
  const underWay = asking.filter(({ source }) => !isDue(source)).length;
  const shares = sharesOf(state.wanted);
  const room = Math.floor((maxWanted - state.wanted.size) / maxListedItems);
  const most = Math.max(0, Math.min(maxListsAsked - underWay, room));
  const chosen = asking
    .filter(({ id, source }) => isDue(source) && shareLeft(shares, id) >= maxListedItems)
    .sort((a, b) => a.source.askedAt - b.source.askedAt)
    .slice(0, most);
  const sources = new Map(state.sources);
  const sends: Effect<Replication>[] = [];
  for (const { id, source } of chosen) {
    sources.set(id, { ...source, askedAt: tick });
    const message = { kind: 'list', stamp: view.own.stamp, after: source.after } as const;
    sends.push({ kind: 'send', to: [id], message });
  }
  return and(draft, { sources }, ...sends);
}

/** R4: tells a member what the sealed state makes it keep, and nothing else. */
export function answerList(
  config: ReplicationConfig,
  draft: Draft,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'list' }>,
): Draft {
  const { state } = draft;
  const { view } = state;
  if (view === null || state.stock.kind !== 'taken' || !view.own.members.has(from)) return draft;
  const keeps = keeper(config, state);
  const noticed = noticeNewer(draft, from, message.stamp);
  const { items, next } = walk(
    state.stock.items,
    message.after,
    maxScannedItems,
    maxListedItems,
    (item) => keeps(item.name, from),
  );
  const { after } = message;
  const listing = { kind: 'listing', stamp: view.own.stamp, after, items, next } as const;
  return and(noticed, {}, { kind: 'send', to: [from], message: listing });
}

export function takeListing(
  config: ReplicationConfig,
  draft: Draft,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'listing' }>,
): Draft {
  const { state } = draft;
  const { view } = state;
  const source = state.sources.get(from);
  if (view === null || source?.kind !== 'asking' || source.after !== message.after) return draft;
  // An older state may not know yet that we are a holder: its list would have gaps.
  if (message.stamp.generation < view.own.stamp.generation) return draft;
  const distrusted = (state.strikes.get(from) ?? 0) >= maxStrikes;
  const goesOn = message.next !== null && message.next > message.after && !distrusted;
  const sources = new Map(state.sources).set(
    from,
    goesOn && message.next !== null
      ? // A full page is followed at once, an empty one with the next tick.
        {
          kind: 'asking',
          after: message.next,
          askedAt: state.tick - pageTicks + (message.items.length > 0 ? 0 : 1),
        }
      : { kind: 'listed' },
  );
  const keeps = keeper(config, state);
  const wanted = new Map(state.wanted);
  for (const item of distrusted ? [] : message.items) {
    const id = itemId(item);
    const own = held(state.stock.items, id);
    if (own !== undefined && isAtLeast(own, item)) continue;
    if (!sizeFits(item) || !keeps(item.name)) continue;
    if (wanted.size < maxWanted || wanted.has(id))
      wanted.set(id, withHolder(wanted.get(id), item, { by: from, holder: from, urgent: false }));
  }
  return and(noticeNewer(draft, from, message.stamp), { sources, wanted });
}

/** One more holder of a missing item; a newer version makes the older holders useless. */
export function withHolder(
  known: Wanted | undefined,
  item: Wanted['item'],
  {
    by,
    holder,
    urgent,
  }: { readonly by: NodeId; readonly holder: NodeId; readonly urgent: boolean },
): Wanted {
  const promised = by === holder ? [holder] : [];
  if (known === undefined || !isAtLeast(known.item, item)) {
    return { item, by, holders: [holder], promised, tried: [], turns: 0, notBefore: 0, urgent };
  }
  const isSame = isSameRank(known.item, item);
  const joined = (ids: readonly NodeId[], more: readonly NodeId[]): readonly NodeId[] =>
    isSame ? [...ids, ...more.filter((id) => !ids.includes(id))] : ids;
  return {
    ...known,
    holders: joined(known.holders, [holder]),
    promised: joined(known.promised, promised),
    urgent: known.urgent || urgent,
  };
}

/** How many missing items each peer named. */
export function sharesOf(wanted: ReadonlyMap<string, Wanted>): ReadonlyMap<NodeId, number> {
  const shares = new Map<NodeId, number>();
  for (const { by } of wanted.values()) shares.set(by, (shares.get(by) ?? 0) + 1);
  return shares;
}

export const shareLeft = (shares: ReadonlyMap<NodeId, number>, id: NodeId): number =>
  maxWantedPerPeer - (shares.get(id) ?? 0);

/** Who speaks of a newer state of a section than ours is asked for it. */
export function noticeNewer(draft: Draft, peer: NodeId, stamp: Stamp): Draft {
  const { view } = draft.state;
  const section = [view?.own, ...(view?.others ?? [])].find((each) => each?.members.has(peer));
  if (section === undefined || stamp.generation <= section.stamp.generation) return draft;
  return and(draft, {}, { kind: 'output', output: { kind: 'behind', peer } });
}
