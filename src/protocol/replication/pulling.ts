/** Fetching what is missing: fewest copies first, bounded, under a byte budget (N43). */
import { compareDistance } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { held, isAtLeast, itemId, type ItemId } from './items.ts';
import { withStored } from './handing.ts';
import { maxStrikes } from './listing.ts';
import { copiesWanted } from './placement.ts';
import { reportFullness } from './fullness.ts';
import {
  and,
  covering,
  keeper,
  selfId,
  type Draft,
  type FetchOutcome,
  type Fetching,
  type Replication,
  type ReplicationConfig,
  type ReplicationFault,
  type ReplicationState,
  type Wanted,
} from './state.ts';

/** Fetches under way: eight chunks of a mebibyte. */
export const maxFetches = 8;
/** Of one holder: a slow one must not take all places. */
const maxFetchesPerHolder = 2;
/** Turns in which every holder failed; then only a new list brings the item back. */
const maxTurns = 5;
/** How long a repair waits for the lists of others, which tell how rare an item is. */
const listPatienceTicks = 2;

/** Starts as many fetches as places and budget allow. */
export function pump(config: ReplicationConfig, draft: Draft): Draft {
  let next = draft;
  for (;;) {
    const started = startFetch(config, next);
    if (started === undefined) return next;
    next = started;
  }
}

function startFetch(config: ReplicationConfig, draft: Draft): Draft | undefined {
  const { state } = draft;
  const { view, fetching } = state;
  if (view === null || state.ownFullness.full || fetching.size >= maxFetches) return undefined;
  const chosen = rarest(config, state);
  if (chosen === undefined) return undefined;
  const { item } = chosen.wanted;
  // The rarest first, also when only a commoner, smaller one would fit the budget today.
  if (item.size > state.budgetBytes) return undefined;
  const section = covering(view, item.name) ?? view.own;
  const id = String(state.idsUsed);
  const promised = chosen.wanted.promised.includes(chosen.holder);
  const entry: Fetching = { item, holder: chosen.holder, promised, reserved: item.size };
  return and(
    draft,
    {
      fetching: new Map(fetching).set(id, entry),
      budgetBytes: state.budgetBytes - item.size,
      idsUsed: state.idsUsed + 1,
    },
    {
      kind: 'output',
      output: { kind: 'fetch', id, holder: chosen.holder, item, stamp: section.stamp },
    },
  );
}

function rarest(
  config: ReplicationConfig,
  state: ReplicationState,
): { readonly wanted: Wanted; readonly holder: NodeId } | undefined {
  const underWay = new Set<ItemId>();
  const load = new Map<NodeId, number>();
  for (const { item, holder } of state.fetching.values()) {
    underWay.add(itemId(item));
    load.set(holder, (load.get(holder) ?? 0) + 1);
  }
  const open = [...state.sources.values()].some(
    (source) => source.kind === 'asking' && source.after === '',
  );
  const early = open && state.tick < state.listedAt + listPatienceTicks;
  const loadOf = (id: NodeId): number => load.get(id) ?? 0;
  let best: { readonly wanted: Wanted; readonly holder: NodeId } | undefined;
  for (const [id, wanted] of state.wanted) {
    if (wanted.notBefore > state.tick || underWay.has(id) || (early && !wanted.urgent)) continue;
    if (best !== undefined && wanted.holders.length >= best.wanted.holders.length) continue;
    const holder = wanted.holders
      .filter((each) => !wanted.tried.includes(each) && isTrusted(state, each))
      .sort((a, b) => loadOf(a) - loadOf(b))[0];
    if (holder === undefined || loadOf(holder) >= maxFetchesPerHolder) continue;
    if (!wanted.urgent && isSpare(config, state, wanted)) continue;
    best = { wanted, holder };
  }
  return best;
}

const isTrusted = (state: ReplicationState, id: NodeId): boolean =>
  (state.strikes.get(id) ?? 0) < maxStrikes;

/** P3: four closer adults have it, full ones counted: our turn comes only when one loses it. */
function isSpare(config: ReplicationConfig, state: ReplicationState, wanted: Wanted): boolean {
  if (wanted.holders.length < copiesWanted || state.view === null) return false;
  const { name } = wanted.item;
  const adults = covering(state.view, name)?.adults ?? [];
  const own = adults.find(({ id }) => id === selfId(config));
  if (own === undefined) return true;
  const closer = adults.filter(
    ({ id, placement }) =>
      wanted.holders.includes(id) && compareDistance(name, placement, own.placement) < 0,
  );
  return closer.length >= copiesWanted;
}

/** The shell's answer to one `fetch`. */
export function fetched(
  config: ReplicationConfig,
  draft: Draft,
  id: string,
  outcome: FetchOutcome,
): Draft {
  const { state } = draft;
  const entry = state.fetching.get(id);
  if (entry === undefined) return draft;
  const fetching = new Map(state.fetching);
  fetching.delete(id);
  const { item, holder, promised, reserved } = entry;
  const back = (used: number): number =>
    Math.min(config.budgetBurstBytes, state.budgetBytes + reserved - used);
  const failed = (used: number, strikes: number, ...faults: readonly ReplicationFault[]): Draft =>
    giveUpHolder(
      and(
        draft,
        {
          fetching,
          budgetBytes: back(used),
          strikes: new Map(state.strikes).set(
            holder,
            Math.min(maxStrikes, (state.strikes.get(holder) ?? 0) + strikes),
          ),
        },
        ...faults.map((fault): Effect<Replication> => ({ kind: 'blame', fault })),
      ),
      itemId(item),
      holder,
    );
  switch (outcome.kind) {
    case 'stored': {
      const wanted = new Map(state.wanted);
      const known = wanted.get(itemId(item));
      // A newer one may have become known while this one was on its way.
      if (known !== undefined && isAtLeast(outcome.item, known.item)) wanted.delete(itemId(item));
      const stored = withStored(draft, outcome.item);
      return and(stored, { fetching, wanted, budgetBytes: back(outcome.item.size) });
    }
    case 'wrong':
      // One proof is enough: nothing more is taken from it in this round.
      return failed(outcome.bytes, maxStrikes, { kind: 'wrongBytes', culprit: holder, item });
    case 'older':
      // Who named this version itself gave another one. An elder names an item, not who has it: a
      // holder that the write did not reach gives in good faith what it has.
      return promised
        ? failed(outcome.bytes, maxStrikes, { kind: 'wrongBytes', culprit: holder, item })
        : failed(outcome.bytes, 0);
    case 'lacking':
      // Of whom only an elder said so, that broke no promise.
      return promised
        ? failed(0, 1, { kind: 'emptyPromise', culprit: holder, item })
        : failed(0, 0);
    case 'refused':
    case 'silent':
      return failed(0, 0);
    case 'full':
      return reportFullness(
        config,
        and(draft, { fetching, budgetBytes: back(outcome.bytes) }),
        true,
      );
    default:
      return assertNever(outcome);
  }
}

/** The next holder's turn; when all have failed, a pause that doubles. */
function giveUpHolder(draft: Draft, id: ItemId, holder: NodeId): Draft {
  const { state } = draft;
  const known = state.wanted.get(id);
  if (known === undefined) return draft;
  const wanted = new Map(state.wanted);
  const tried = [...known.tried, holder];
  const left = known.holders.filter((each) => isTrusted(state, each));
  if (left.some((each) => !tried.includes(each))) wanted.set(id, { ...known, tried });
  else if (left.length === 0 || known.turns + 1 === maxTurns) wanted.delete(id);
  else {
    const turns = known.turns + 1;
    wanted.set(id, { ...known, tried: [], turns, notBefore: state.tick + 2 ** turns });
  }
  return and(draft, { wanted });
}

/** Forgets what need not be kept any more by the present view, or came another way. */
export function withoutNeedless(config: ReplicationConfig, draft: Draft): Draft {
  const { state } = draft;
  const keeps = keeper(config, state);
  const wanted = new Map<ItemId, Wanted>();
  for (const [id, each] of state.wanted) {
    const own = held(state.stock.items, id);
    const isHere = own !== undefined && isAtLeast(own, each.item);
    if (!isHere && keeps(each.item.name)) wanted.set(id, each);
  }
  return and(draft, { wanted });
}
