/** What a storing node does so that four adults keep everything. Rules in README.md. */
import { assertNever } from '#core/assert.ts';
import type { Context, Effect, Machine, NodeId } from '#core/machine.ts';
import {
  forgetFar,
  repeatFullness,
  reportFullness,
  takeFullness,
  whenRolesChange,
} from './fullness.ts';
import {
  answerConfirm,
  askToConfirm,
  findSurplus,
  proved,
  takeConfirmation,
  takeRepair,
  withStored,
} from './handing.ts';
import { emptyStock, itemId, withItems, withoutItem } from './items.ts';
import { answerList, askSources, lookAgain, noticeNewer, relist, takeListing } from './listing.ts';
import { fetched, pump, withoutNeedless } from './pulling.ts';
import type { ReplicationMessage } from './messages.ts';
import {
  and,
  fullOf,
  keeper,
  selfId,
  viewOf,
  type Draft,
  type Replication,
  type ReplicationConfig,
  type ReplicationFact,
  type ReplicationInput,
  type ReplicationState,
  type View,
} from './state.ts';

export const replication: Machine<ReplicationConfig, ReplicationState, Replication> = {
  start: (config, facts) => ({
    state: recovered(config, facts),
    effects: [setTick(config)],
  }),

  step: (config, state, event, context) => {
    const draft: Draft = { state, effects: [] };
    switch (event.kind) {
      case 'input':
        return pump(config, take(config, draft, event.input));
      case 'received':
        return pump(config, receive(config, draft, event.from, event.message));
      case 'timerFired':
        return pump(config, tick(config, draft, context));
      case 'computed':
        return draft;
      default:
        return assertNever(event);
    }
  },
};

/**
 * R4, N42: may the shell give these bytes to that node? The sealed state is the elders' ticket:
 * whoever it makes a holder may have a copy, nobody else.
 */
export const mayHandOver = (
  config: ReplicationConfig,
  state: ReplicationState,
  to: NodeId,
  name: Uint8Array,
): boolean => keeper(config, state)(name, to);

/** Members that reported a full disk: puts pass them over. */
export const fullMembers = fullOf;

/** For the log and the page: what is still to come and to go. */
export const backlogOf = (state: ReplicationState) => ({
  wanted: state.wanted.size,
  fetching: state.fetching.size,
  handing: state.handing.size,
});

function recovered(config: ReplicationConfig, facts: readonly ReplicationFact[]): ReplicationState {
  let generation = 0n;
  let ownFullness = { counter: 0n, full: false };
  for (const fact of facts) {
    if (fact.kind === 'reported') ownFullness = { counter: fact.counter, full: fact.full };
    else if (itemsBelongTo(config, fact.self) && fact.generation > generation) {
      generation = fact.generation;
    }
  }
  return {
    stock: { kind: 'beingTaken', items: emptyStock },
    view: null,
    generation,
    ownFullness,
    fullness: new Map(),
    sources: new Map(),
    wanted: new Map(),
    fetching: new Map(),
    handing: new Map(),
    surplusAfter: '',
    surplusAgain: false,
    proving: new Map(),
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

function take(config: ReplicationConfig, draft: Draft, input: ReplicationInput): Draft {
  const { stock } = draft.state;
  switch (input.kind) {
    case 'found':
      return and(draft, { stock: { ...stock, items: withItems(stock.items, input.items) } });
    case 'stockTaken':
      return and(draft, { stock: { ...stock, kind: 'taken' } });
    case 'stored':
      return and(withStored(draft, input.item), lookAgain(draft.state));
    case 'lost': {
      const items = withoutItem(stock.items, itemId(input.item));
      const { relistAt, tick: now } = draft.state;
      return and(draft, { stock: { ...stock, items }, relistAt: Math.min(relistAt, now + 1) });
    }
    case 'adopted':
      return adopt(config, draft, input);
    case 'diskFull':
      return reportFullness(config, draft, true);
    case 'diskFreed':
      return reportFullness(config, draft, false);
    case 'fetched':
      return fetched(config, draft, input.id, input.outcome);
    case 'proved':
      return proved(config, draft, input.id, input.proof);
    default:
      return assertNever(input);
  }
}

function adopt(
  config: ReplicationConfig,
  draft: Draft,
  { section, others }: Extract<ReplicationInput, { kind: 'adopted' }>,
): Draft {
  const { state } = draft;
  // R9: an older state never comes back, not even after a restart.
  if (section.generation < state.generation) return draft;
  const view: View = { own: viewOf(section), others: others.map(viewOf) };
  const isKnown = (id: NodeId): boolean =>
    [view.own, ...view.others].some(({ members }) => members.has(id));
  const fullness = new Map([...state.fullness].filter(([id]) => isKnown(id)));
  const { generation } = section;
  const facts: Effect<Replication>[] =
    generation > state.generation
      ? [{ kind: 'persist', fact: { kind: 'adopted', self: config.self, generation } }]
      : [];
  const adopted = withoutNeedless(
    config,
    and(draft, { view, generation, fullness, ...whenRolesChange }, ...facts),
  );
  if (!gains(config, state.view, view)) return adopted;
  return askSources(relist(config, adopted));
}

/** R3: there is more to keep only when an adult went, or when we came. */
function gains(config: ReplicationConfig, before: View | null, after: View): boolean {
  const self = selfId(config);
  const now = new Set(after.own.adults.map(({ id }) => id));
  if (!now.has(self)) return false;
  const then = before?.own.adults.map(({ id }) => id) ?? [];
  return !then.includes(self) || then.some((id) => !now.has(id));
}

function receive(
  config: ReplicationConfig,
  draft: Draft,
  from: NodeId,
  message: ReplicationMessage,
): Draft {
  switch (message.kind) {
    case 'list':
      return answerList(config, draft, from, message);
    case 'listing':
      return askSources(takeListing(config, draft, from, message));
    case 'confirm':
      return answerConfirm(config, draft, from, message);
    case 'confirmed':
      return takeConfirmation(config, draft, from, message);
    case 'lacking':
      return noticeNewer(draft, from, message.stamp);
    case 'fullness':
      return takeFullness(draft, from, message);
    case 'repair':
      return takeRepair(config, draft, from, message);
    default:
      return assertNever(message);
  }
}

function tick(config: ReplicationConfig, draft: Draft, context: Context): Draft {
  const { state } = draft;
  const budgetBytes = Math.min(
    config.budgetBurstBytes,
    state.budgetBytes + config.budgetBytesPerTick,
  );
  let next = and(draft, { tick: state.tick + 1, budgetBytes }, setTick(config));
  if (next.state.tick >= next.state.relistAt) next = relist(config, forgetFar(next));
  next = askSources(repeatFullness(config, next));
  return askToConfirm(config, findSurplus(config, next, context.entropy));
}

const setTick = (config: ReplicationConfig): Effect<Replication> => ({
  kind: 'setTimer',
  timer: 'tick',
  afterMs: config.tickMs,
});
