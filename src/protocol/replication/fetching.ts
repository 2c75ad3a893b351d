/** Fetches missing items: fewest copies first, bounded, under a byte budget (N43). */
import { compareDistance } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { extend } from '#core/step.ts';
import { heldItem, isAtLeast, itemId, type ItemId } from './items.ts';
import { withStored } from './drop-surplus.ts';
import { maxStrikes } from './find-missing.ts';
import { copiesWanted } from './placement.ts';
import { reportDiskFull } from './disk-full.ts';
import {
  coveringSection,
  holderTest,
  selfId,
  type ReplicationStep,
  type FetchOutcome,
  type Fetching,
  type Replication,
  type ReplicationConfig,
  type ReplicationFault,
  type ReplicationState,
  type MissingItem,
} from './state.ts';

/** Concurrent fetches: eight chunks of one mebibyte. */
export const maxFetches = 8;
/** Per holder, so that a slow one cannot occupy all slots. */
const maxFetchesPerHolder = 2;
/** Rounds in which every holder failed; after them only a new listing adds the item again. */
const maxFetchAttempts = 5;
/** How long a repair waits for listings, which show how many copies an item has. */
const listTimeoutTicks = 2;

/** REPLICATION-R1: starts as many fetches as slots and budget allow. */
export function startFetches(config: ReplicationConfig, step: ReplicationStep): ReplicationStep {
  let next = step;
  for (;;) {
    const started = startNextFetch(config, next);
    if (started === undefined) return next;
    next = started;
  }
}

function startNextFetch(
  config: ReplicationConfig,
  step: ReplicationStep,
): ReplicationStep | undefined {
  const { state } = step;
  const { view, fetching } = state;
  if (view === null || state.ownDiskFull.full || fetching.size >= maxFetches) return undefined;
  const chosen = rarest(config, state);
  if (chosen === undefined) return undefined;
  const { item } = chosen.wanted;
  // Rarest first, even if only a smaller item with more copies would fit the budget now.
  if (item.size > state.budgetBytes) return undefined;
  const section = coveringSection(view, item.name) ?? view.own;
  const id = String(state.idsUsed);
  const claimed = chosen.wanted.claimedBy.includes(chosen.holder);
  const entry: Fetching = { item, holder: chosen.holder, claimed, reservedBytes: item.size };
  return extend(
    step,
    {
      fetching: new Map(fetching).set(id, entry),
      budgetBytes: state.budgetBytes - item.size,
      idsUsed: state.idsUsed + 1,
    },
    {
      kind: 'output',
      output: { kind: 'fetch', id, holder: chosen.holder, item, stateRef: section.stateRef },
    },
  );
}

/** REPLICATION-R2: fewest known holders first. */
function rarest(
  config: ReplicationConfig,
  state: ReplicationState,
): { readonly wanted: MissingItem; readonly holder: NodeId } | undefined {
  const inProgress = new Set<ItemId>();
  const load = new Map<NodeId, number>();
  for (const { item, holder } of state.fetching.values()) {
    inProgress.add(itemId(item));
    load.set(holder, (load.get(holder) ?? 0) + 1);
  }
  const open = [...state.sources.values()].some(
    (source) => source.kind === 'asking' && source.after === '',
  );
  const early = open && state.tick < state.listedAt + listTimeoutTicks;
  const loadOf = (id: NodeId): number => load.get(id) ?? 0;
  let best: { readonly wanted: MissingItem; readonly holder: NodeId } | undefined;
  for (const [id, wanted] of state.missing) {
    if (wanted.notBefore > state.tick || inProgress.has(id) || (early && !wanted.urgent)) continue;
    if (best !== undefined && wanted.holders.length >= best.wanted.holders.length) continue;
    const holder = wanted.holders
      .filter((each) => !wanted.tried.includes(each) && isTrusted(state, each))
      .sort((a, b) => loadOf(a) - loadOf(b))[0];
    if (holder === undefined || loadOf(holder) >= maxFetchesPerHolder) continue;
    if (!wanted.urgent && isSurplus(config, state, wanted)) continue;
    best = { wanted, holder };
  }
  return best;
}

const isTrusted = (state: ReplicationState, id: NodeId): boolean =>
  (state.strikes.get(id) ?? 0) < maxStrikes;

/**
 * REPLICATION-P3: four closer adults hold it, full ones included: it is ours only if one loses it. An older
 * version that we hold is renewed all the same.
 */
function isSurplus(
  config: ReplicationConfig,
  state: ReplicationState,
  wanted: MissingItem,
): boolean {
  if (wanted.holders.length < copiesWanted || state.view === null) return false;
  const { name } = wanted.item;
  if (heldItem(state.inventory.items, itemId(wanted.item)) !== undefined) return false;
  const adults = coveringSection(state.view, name)?.adults ?? [];
  const own = adults.find(({ id }) => id === selfId(config));
  if (own === undefined) return true;
  const closer = adults.filter(
    ({ id, placement }) =>
      wanted.holders.includes(id) && compareDistance(name, placement, own.placement) < 0,
  );
  return closer.length >= copiesWanted;
}

/** The shell's answer to one `fetch`. */
export function onFetched(
  config: ReplicationConfig,
  step: ReplicationStep,
  id: string,
  outcome: FetchOutcome,
): ReplicationStep {
  const { state } = step;
  const entry = state.fetching.get(id);
  if (entry === undefined) return step;
  const fetching = new Map(state.fetching);
  fetching.delete(id);
  const { item, holder, claimed, reservedBytes } = entry;
  const back = (used: number): number =>
    Math.min(config.budgetBurstBytes, state.budgetBytes + reservedBytes - used);
  const failed = (
    used: number,
    strikes: number,
    ...faults: readonly ReplicationFault[]
  ): ReplicationStep =>
    tryNextHolder(
      extend(
        step,
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
      const missing = new Map(state.missing);
      const known = missing.get(itemId(item));
      // A newer version may have become known during the fetch.
      if (known !== undefined && isAtLeast(outcome.item, known.item)) missing.delete(itemId(item));
      const stored = withStored(step, outcome.item);
      return extend(stored, { fetching, missing, budgetBytes: back(outcome.item.size) });
    }
    case 'wrong':
      // One wrong answer suffices: this source is not used again in this round.
      return failed(outcome.bytes, maxStrikes, { kind: 'wrongBytes', culprit: holder, item });
    case 'older':
      // A holder that listed this version itself must have it. If only an elder named the holder,
      // the write may not have reached it, so an older version is no fault.
      return claimed
        ? failed(outcome.bytes, maxStrikes, { kind: 'wrongBytes', culprit: holder, item })
        : failed(outcome.bytes, 0);
    case 'missing':
      // No fault if only an elder named this holder.
      return claimed ? failed(0, 1, { kind: 'missingCopy', culprit: holder, item }) : failed(0, 0);
    case 'refused':
    case 'unresponsive':
      return failed(0, 0);
    case 'full':
      return reportDiskFull(
        config,
        extend(step, { fetching, budgetBytes: back(outcome.bytes) }),
        true,
      );
    default:
      return assertNever(outcome);
  }
}

/** Tries the next holder; when all have failed, pauses with exponential backoff. */
function tryNextHolder(step: ReplicationStep, id: ItemId, holder: NodeId): ReplicationStep {
  const { state } = step;
  const known = state.missing.get(id);
  if (known === undefined) return step;
  const missing = new Map(state.missing);
  const tried = [...known.tried, holder];
  const left = known.holders.filter((each) => isTrusted(state, each));
  if (left.some((each) => !tried.includes(each))) missing.set(id, { ...known, tried });
  else if (left.length === 0 || known.attempts + 1 === maxFetchAttempts) missing.delete(id);
  else {
    const attempts = known.attempts + 1;
    missing.set(id, { ...known, tried: [], attempts, notBefore: state.tick + 2 ** attempts });
  }
  return extend(step, { missing });
}

/** Drops missing items that this node need not store by the current view, or already stored. */
export function dropUnneeded(config: ReplicationConfig, step: ReplicationStep): ReplicationStep {
  const { state } = step;
  const keeps = holderTest(config, state);
  const missing = new Map<ItemId, MissingItem>();
  for (const [id, each] of state.missing) {
    const own = heldItem(state.inventory.items, id);
    const isHere = own !== undefined && isAtLeast(own, each.item);
    if (!isHere && keeps(each.item.name)) missing.set(id, each);
  }
  return extend(step, { missing });
}
