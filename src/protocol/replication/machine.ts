/** How storing nodes keep four copies of every item. Rules: docs/spec/data.md. */
import { assertNever } from '#core/assert.ts';
import type { Context, Effect, Machine, NodeId } from '#core/machine.ts';
import { extend } from '#core/step.ts';
import {
  dropForeignReports,
  repeatDiskFull,
  reportDiskFull,
  onDiskFullReport,
  resetHandoffs,
} from './disk-full.ts';
import { answerConfirm, onRepair } from './confirm-copies.ts';
import {
  requestConfirmation,
  findSurplus,
  onProof,
  onConfirmation,
  withStored,
} from './drop-surplus.ts';
import { emptyInventory, itemId, withItems, withoutItem } from './items.ts';
import {
  answerList,
  requestListings,
  restartSurplusScan,
  noticeNewerState,
  restartListing,
  onListing,
} from './find-missing.ts';
import { onFetched, startFetches, dropUnneeded } from './fetching.ts';
import type { ReplicationMessage } from './messages.ts';
import {
  fullMembersOf,
  holderTest,
  selfId,
  placementViewOf,
  type ReplicationStep,
  type Replication,
  type ReplicationConfig,
  type ReplicationFact,
  type ReplicationInput,
  type ReplicationState,
  type PlacementMap,
} from './state.ts';

export const replication: Machine<ReplicationConfig, ReplicationState, Replication> = {
  start: (config, facts) => ({
    state: recovered(config, facts),
    effects: [setTick(config)],
  }),

  step: (config, state, event, context) => {
    const step: ReplicationStep = { state, effects: [] };
    switch (event.kind) {
      case 'input':
        return startFetches(config, onInput(config, step, event.input));
      case 'received':
        return startFetches(config, onMessage(config, step, event.from, event.message));
      case 'timerFired':
        return startFetches(config, tick(config, step, context));
      case 'computed':
        return step;
      default:
        return assertNever(event);
    }
  },
};

/**
 * REPLICATION-R4, N42: may the shell send these bytes to that node? Only if the sealed state makes it a holder;
 * the elders' signature on that state is the authorization.
 */
export const maySendCopy = (
  config: ReplicationConfig,
  state: ReplicationState,
  to: NodeId,
  name: Uint8Array,
): boolean => holderTest(config, state)(name, to);

/** Members with a full disk: puts skip them. */
export const fullMembers = fullMembersOf;

/** Pending work, for the log and the page. */
export const backlogOf = (state: ReplicationState) => ({
  missing: state.missing.size,
  fetching: state.fetching.size,
  handoffs: state.handoffs.size,
});

function recovered(config: ReplicationConfig, facts: readonly ReplicationFact[]): ReplicationState {
  let generation = 0n;
  let ownDiskFull = { counter: 0n, full: false };
  for (const fact of facts) {
    if (fact.kind === 'reported') ownDiskFull = { counter: fact.counter, full: fact.full };
    else if (itemsBelongTo(config, fact.self) && fact.generation > generation) {
      generation = fact.generation;
    }
  }
  return {
    inventory: { kind: 'scanning', items: emptyInventory },
    view: null,
    generation,
    ownDiskFull,
    diskFullReports: new Map(),
    sources: new Map(),
    missing: new Map(),
    fetching: new Map(),
    handoffs: new Map(),
    surplusAfter: '',
    surplusAgain: false,
    pendingProofs: new Map(),
    strikes: new Map(),
    budgetBytes: Math.min(config.budgetBytesPerTick, config.budgetBurstBytes),
    tick: 0,
    listedAt: 0,
    relistAt: config.relistEveryTicks,
    idsUsed: 0,
  };
}

const itemsBelongTo = (config: ReplicationConfig, self: Uint8Array): boolean =>
  selfId(config) === selfId({ ...config, self });

function onInput(
  config: ReplicationConfig,
  step: ReplicationStep,
  input: ReplicationInput,
): ReplicationStep {
  const { inventory } = step.state;
  switch (input.kind) {
    case 'found':
      return extend(step, {
        inventory: { ...inventory, items: withItems(inventory.items, input.items) },
      });
    case 'inventoryComplete':
      return extend(step, { inventory: { ...inventory, kind: 'complete' } });
    case 'stored':
      return extend(withStored(step, input.item), restartSurplusScan(step.state));
    case 'lost': {
      const items = withoutItem(inventory.items, itemId(input.item));
      const { relistAt, tick: now } = step.state;
      return extend(step, {
        inventory: { ...inventory, items },
        relistAt: Math.min(relistAt, now + 1),
      });
    }
    case 'adopted':
      return adopt(config, step, input);
    case 'diskFull':
      return reportDiskFull(config, step, true);
    case 'diskFreed':
      return reportDiskFull(config, step, false);
    case 'fetched':
      return onFetched(config, step, input.id, input.outcome);
    case 'proved':
      return onProof(config, step, input.id, input.proof);
    default:
      return assertNever(input);
  }
}

function adopt(
  config: ReplicationConfig,
  step: ReplicationStep,
  { section, others }: Extract<ReplicationInput, { kind: 'adopted' }>,
): ReplicationStep {
  const { state } = step;
  // REPLICATION-R9: an older state is never adopted again, even after a restart.
  if (section.generation < state.generation) return step;
  const view: PlacementMap = { own: placementViewOf(section), others: others.map(placementViewOf) };
  const isKnown = (id: NodeId): boolean =>
    [view.own, ...view.others].some(({ members }) => members.has(id));
  const diskFullReports = new Map([...state.diskFullReports].filter(([id]) => isKnown(id)));
  const { generation } = section;
  const facts: Effect<Replication>[] =
    generation > state.generation
      ? [{ kind: 'persist', fact: { kind: 'adopted', self: config.self, generation } }]
      : [];
  const adopted = dropUnneeded(
    config,
    extend(step, { view, generation, diskFullReports, ...resetHandoffs }, ...facts),
  );
  if (!needsListing(config, state.view, view)) return adopted;
  return requestListings(restartListing(config, adopted));
}

/** REPLICATION-R3: there is more to store only when an adult left, or when this node became one. */
function needsListing(
  config: ReplicationConfig,
  before: PlacementMap | null,
  after: PlacementMap,
): boolean {
  const self = selfId(config);
  const now = new Set(after.own.adults.map(({ id }) => id));
  if (!now.has(self)) return false;
  const then = before?.own.adults.map(({ id }) => id) ?? [];
  return !then.includes(self) || then.some((id) => !now.has(id));
}

function onMessage(
  config: ReplicationConfig,
  step: ReplicationStep,
  from: NodeId,
  message: ReplicationMessage,
): ReplicationStep {
  switch (message.kind) {
    case 'list':
      return answerList(config, step, from, message);
    case 'listing':
      return requestListings(onListing(config, step, from, message));
    case 'confirm':
      return answerConfirm(config, step, from, message);
    case 'confirmed':
      return onConfirmation(config, step, from, message);
    case 'missing':
      return noticeNewerState(step, from, message.stateRef);
    case 'diskFull':
      return onDiskFullReport(step, from, message);
    case 'repair':
      return onRepair(config, step, from, message);
    default:
      return assertNever(message);
  }
}

function tick(config: ReplicationConfig, step: ReplicationStep, context: Context): ReplicationStep {
  const { state } = step;
  const budgetBytes = Math.min(
    config.budgetBurstBytes,
    state.budgetBytes + config.budgetBytesPerTick,
  );
  let next = extend(step, { tick: state.tick + 1, budgetBytes }, setTick(config));
  if (next.state.tick >= next.state.relistAt)
    next = restartListing(config, dropForeignReports(next));
  next = requestListings(repeatDiskFull(config, next));
  return requestConfirmation(config, findSurplus(config, next, context.entropy));
}

const setTick = (config: ReplicationConfig): Effect<Replication> => ({
  kind: 'setTimer',
  timer: 'tick',
  afterMs: config.tickMs,
});
