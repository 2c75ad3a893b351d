/**
 * A complete node: its place in the section, the money of its keys and the chunks on its disk, as
 * one machine with one memory that a crash loses; and clients that pay.
 */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, Effect, Machine } from '#core/machine.ts';
import {
  verifyEntries,
  snapshotRoot,
  mergeSnapshots,
  sortSnapshotEntries,
  type SnapshotEntry,
  type Snapshot,
} from '#money/snapshot.ts';
import type { HandoverMessage } from '#protocol/handover/index.ts';
import { outputEntry, performMintJob } from '#protocol/mint/index.ts';
import { epochOf, sectionsOf } from '#protocol/section/index.ts';
import { performSpentbookJob, slotEntry } from '#protocol/spentbook/index.ts';
import {
  performSectionNodeJob,
  sectionNode,
  type NodeSuites,
  type SectionNode,
  type SectionNodeOutput,
} from '#roles/section-node/index.ts';
import { performPaymentJob } from '#safe/payment/index.ts';
import { honestPageParts, pageAt, pageBytesOf, withPage } from '../handover-money/paged-list.ts';
import { simAdult, type SimAdult } from '../replication/replication-net.ts';
import { memoizedJobs, startPayingClient, stepPayingClient } from '../payment/paying-client.ts';
import {
  keysOfTree,
  keyLineTo,
  money,
  moneyComputed,
  openMoney,
  withMoneyFact,
} from './full-node-money.ts';
import {
  withChange,
  noMoneyFacts,
  type NodeDraft,
  type NodeConfig,
  type NodeState,
  type WantedList,
  type FullNodeProtocol,
  type FullNodeConfig,
  type FullNodeFact,
  type FullNodeJob,
  type FullNodeSimState,
} from './full-node-state.ts';

/** One event for the section's machine, with all requests of that machine to its shell. */
function section(
  config: NodeConfig,
  draft: NodeDraft,
  event: Parameters<typeof sectionNode.step>[2],
  context: Context,
): NodeDraft {
  const { tree } = draft.state.section;
  const step = sectionNode.step(config.section, draft.state.section, event, context);
  const now = follow(config, withChange(draft, { section: step.state }), step.effects, context);
  return step.state.tree.sections === tree.sections ? now : stepStore(config, now, context);
}

/** REPLICATION-R7: once other sections are known, items of their range are passed to them. */
function stepStore(config: NodeConfig, draft: NodeDraft, context: Context): NodeDraft {
  const { own, tree } = draft.state.section;
  if (own === null) return draft;
  const { authority } = own.state;
  const others = sectionsOf(tree).filter(({ key }) => !equalBytes(key, authority.key));
  const input = { kind: 'adopted', section: authority, others } as const;
  return store(config, draft, { kind: 'input', input }, context);
}

const stepSection = (
  config: NodeConfig,
  draft: NodeDraft,
  input: SectionNode['input'],
  context: Context,
): NodeDraft => section(config, draft, { kind: 'input', input }, context);

function follow(
  config: NodeConfig,
  draft: NodeDraft,
  effects: readonly Effect<SectionNode>[],
  context: Context,
): NodeDraft {
  let now = draft;
  for (const effect of effects) {
    switch (effect.kind) {
      case 'persist':
        now = withChange(
          now,
          {},
          { kind: 'persist', fact: { kind: 'section', fact: effect.fact } },
        );
        break;
      case 'send': {
        const message = { kind: 'section', message: effect.message } as const;
        now = withChange(now, {}, { kind: 'send', to: effect.to, message });
        break;
      }
      case 'compute': {
        const job = { kind: 'section', job: effect.job } as const;
        now = withChange(now, {}, { kind: 'compute', id: { kind: 'section', id: effect.id }, job });
        break;
      }
      case 'setTimer':
      case 'clearTimer':
        now = withChange(now, {}, { ...effect, timer: { owner: 'section', timer: effect.timer } });
        break;
      case 'blame':
        now = withChange(now, {}, effect);
        break;
      case 'output': {
        const output = { kind: 'section', output: effect.output } as const;
        now = perform(
          config,
          withChange(now, {}, { kind: 'output', output }),
          effect.output,
          context,
        );
      }
    }
  }
  return now;
}

const keep = (draft: NodeDraft, entries: readonly SnapshotEntry[]): NodeDraft => {
  const root = toHex(snapshotRoot(entries));
  if (draft.state.lists.has(root)) return draft;
  const lists = new Map(draft.state.lists).set(root, entries);
  return withChange(draft, { lists }, { kind: 'persist', fact: { kind: 'entries', entries } });
};

function perform(
  config: NodeConfig,
  draft: NodeDraft,
  output: SectionNodeOutput,
  context: Context,
): NodeDraft {
  const { state } = draft;
  switch (output.kind) {
    case 'adopted':
      return openMoney(config, stepStore(config, draft, context), context);
    case 'sealMoney': {
      const at = toHex(output.key);
      const ledger = state.ledgers.get(at) ?? noMoneyFacts;
      const epoch = epochOf(state.section.tree, output.key) ?? 0n;
      const entries = [
        ...[...ledger.slots.values()].map((facts) => slotEntry(facts, epoch)),
        ...[...ledger.outputs.values()].map(outputEntry),
      ].filter((entry) => entry !== null);
      const stopped = withChange(
        draft,
        { stopped: new Set(state.stopped).add(at) },
        { kind: 'persist', fact: { kind: 'stopped', at } },
      );
      const sorted = sortSnapshotEntries(entries);
      const { key } = output;
      const root = snapshotRoot(sorted);
      return stepSection(
        config,
        keep(stopped, sorted),
        { kind: 'moneySealed', key, root },
        context,
      );
    }
    case 'fetch': {
      const { key, root, elder, from } = output;
      return want(config, draft, { key, root, elder, from }, context);
    }
    case 'serve': {
      const { key, root, start } = output;
      const entries = state.lists.get(toHex(root));
      const pageBytes = pageBytesOf(toHex(config.section.name));
      const page = entries && pageAt(entries, start, pageBytes, honestPageParts);
      if (!page) return draft;
      const message: HandoverMessage = { ...page, kind: 'page', root };
      return stepSection(
        config,
        draft,
        { kind: 'sendHandover', key, to: [output.to], message },
        context,
      );
    }
    case 'page': {
      const { key, from, page } = output;
      const { root } = page;
      const name = toHex(root);
      if (!state.wanted.has(name) || state.lists.has(name)) return draft;
      const before = state.arriving.get(name);
      const longer = withPage(before, page, honestPageParts);
      if (longer === null) {
        // A faster peer sent this page first, but may stop answering: request the missing pages
        // here too.
        const start = before?.entries.length ?? 0;
        if (page.start >= start) return draft;
        const message = { kind: 'requestPage', root, start } as const;
        return stepSection(
          config,
          draft,
          { kind: 'sendHandover', key, to: [from], message },
          context,
        );
      }
      const { entries, isComplete } = longer;
      const arriving = new Map(state.arriving).set(name, longer);
      const now = withChange(
        draft,
        { arriving },
        { kind: 'persist', fact: { kind: 'page', page } },
      );
      if (isComplete) return receivePage(config, keep(now, entries), context);
      const message = { kind: 'requestPage', root, start: entries.length } as const;
      return stepSection(config, now, { kind: 'sendHandover', key, to: [from], message }, context);
    }
    case 'merge': {
      const { key, snapshots } = output;
      const held = snapshots.flatMap(({ elder, root }): Snapshot[] => {
        const entries = state.lists.get(toHex(root));
        return entries === undefined ? [] : [{ elder, entries }];
      });
      if (held.length < snapshots.length) return draft;
      const { entries, sealedRoot: root } = mergeSnapshots(held);
      return stepSection(
        config,
        keep(draft, entries),
        { kind: 'merged', key, snapshots, root },
        context,
      );
    }
    default:
      return draft;
  }
}

function want(
  config: NodeConfig,
  draft: NodeDraft,
  wantedList: WantedList,
  context: Context,
): NodeDraft {
  const { state } = draft;
  const line = wantedList.elder === null ? (keyLineTo(state, wantedList.key) ?? []) : [];
  const wantedLists = [
    wantedList,
    ...line.map(({ record }) => ({ ...wantedList, root: record.sealedRoot })),
  ];
  const wanted = new Map(state.wanted);
  for (const each of wantedLists) {
    // A list of an older key needs no answer of its own.
    if (each === wantedList || !wanted.has(toHex(each.root))) wanted.set(toHex(each.root), each);
  }
  let now = withChange(draft, { wanted });
  for (const { key, root, from } of wantedLists) {
    const pages = now.state.arriving.get(toHex(root));
    // The last page may have arrived just before a crash.
    if (pages?.isComplete === true) now = keep(now, pages.entries);
    if (now.state.lists.has(toHex(root)) || from.length === 0) continue;
    const asked = now.state.asked + 1;
    const to = [from[0] ?? '', from[asked % from.length] ?? ''];
    const start = pages?.entries.length ?? 0;
    const message = { kind: 'requestPage', root, start } as const;
    const send = { kind: 'sendHandover', key, to: [...new Set(to)], message } as const;
    now = stepSection(config, withChange(now, { asked }), send, context);
  }
  return receivePage(config, now, context);
}

// Pure and expensive: seven elders check the same lists.
const checked = new Map<string, boolean>();

/** Answers each wanted list that is here, once. */
function receivePage(config: NodeConfig, draft: NodeDraft, context: Context): NodeDraft {
  let now = draft;
  for (const [id, { key, root, elder }] of draft.state.wanted) {
    const { state } = now;
    const entries = state.lists.get(id);
    if (entries === undefined || !state.wanted.has(id)) continue;
    if (elder === null) {
      const line = keyLineTo(state, key) ?? [];
      const whole = line.every(({ record }) => state.lists.has(toHex(record.sealedRoot)));
      if (!whole) continue;
      now = done(now, id);
      now = stepSection(config, now, { kind: 'inherited', key, sealedRoot: root }, context);
      continue;
    }
    const tree = state.section.tree;
    const own = tree.keys.get(toHex(key));
    if (own === undefined) continue;
    const { genesisOutput } = config;
    const known = keysOfTree(tree, genesisOutput);
    const { prefix, epoch } = own;
    const money = { prefix, key, epoch, networkId: tree.anchor.networkId, genesisOutput };
    const good =
      checked.get(`${toHex(key)}${id}`) ??
      verifyEntries(money, known, config.section.suites.threshold, entries).ok;
    checked.set(`${toHex(key)}${id}`, good);
    now = done(now, id);
    if (good) now = stepSection(config, now, { kind: 'snapshotHeld', key, elder, root }, context);
  }
  return openMoney(config, now, context);
}

function done(draft: NodeDraft, id: string): NodeDraft {
  const wanted = new Map(draft.state.wanted);
  wanted.delete(id);
  return withChange(draft, { wanted });
}

function store(
  config: NodeConfig,
  draft: NodeDraft,
  event: Parameters<typeof simAdult.step>[2],
  context: Context,
): NodeDraft {
  const step = simAdult.step(config.store, draft.state.store, event, context);
  return withChange(draft, { store: step.state }, ...step.effects.map(liftStore));
}

function liftStore(effect: Effect<SimAdult>): Effect<FullNodeProtocol> {
  switch (effect.kind) {
    case 'persist':
      return { kind: 'persist', fact: { kind: 'store', fact: effect.fact } };
    case 'send':
      return { ...effect, message: { kind: 'store', message: effect.message } };
    case 'setTimer':
    case 'clearTimer':
      return { ...effect, timer: { owner: 'store', timer: effect.timer } };
    case 'blame':
      return effect;
    case 'compute':
    case 'output':
      throw new Error('storing nodes run no jobs and output nothing');
  }
}

function startNode(
  config: NodeConfig,
  facts: readonly FullNodeFact[],
  context: Context,
): NodeDraft {
  const own = facts.flatMap((fact) => (fact.kind === 'section' ? [fact.fact] : []));
  const kept = facts.flatMap((fact) => (fact.kind === 'store' ? [fact.fact] : []));
  const disk = simAdult.start(config.store, kept, context);
  const begun = sectionNode.start(config.section, own, context);
  let state: NodeState = {
    kind: 'node',
    section: begun.state,
    store: disk.state,
    money: null,
    ledgers: new Map(),
    stopped: new Set(),
    lists: new Map(),
    arriving: new Map(),
    wanted: new Map(),
    asked: 0,
  };
  for (const fact of facts) {
    if (fact.kind === 'slot' || fact.kind === 'listed') state = withMoneyFact(state, fact);
    else if (fact.kind === 'stopped') {
      state = { ...state, stopped: new Set(state.stopped).add(fact.at) };
    } else if (fact.kind === 'page') {
      const root = toHex(fact.page.root);
      const longer = withPage(state.arriving.get(root), fact.page, honestPageParts);
      if (longer !== null) {
        state = { ...state, arriving: new Map(state.arriving).set(root, longer) };
      }
    } else if (fact.kind === 'entries') {
      const root = toHex(snapshotRoot(fact.entries));
      state = { ...state, lists: new Map(state.lists).set(root, fact.entries) };
    }
  }
  const draft = { state, effects: disk.effects.map(liftStore) };
  return openMoney(config, follow(config, draft, begun.effects, context), context);
}

function computed(
  config: NodeConfig,
  draft: NodeDraft,
  event: { readonly id: FullNodeProtocol['jobId']; readonly result: unknown },
  context: Context,
): NodeDraft {
  if (event.id.kind === 'section') {
    const { id } = event.id;
    const result = event.result as SectionNode['result'];
    return openMoney(
      config,
      section(config, draft, { kind: 'computed', id, result }, context),
      context,
    );
  }
  return moneyComputed(config, draft, event, context);
}

type Received = Parameters<typeof fullNode.step>[2];

function stepNode(
  config: NodeConfig,
  state: NodeState,
  event: Received,
  context: Context,
): NodeDraft {
  const draft: NodeDraft = { state, effects: [] };
  switch (event.kind) {
    case 'input':
      if (event.input.kind === 'section')
        return stepSection(config, draft, event.input.input, context);
      if (event.input.kind !== 'store') return draft;
      return store(config, draft, { kind: 'input', input: event.input.input }, context);
    case 'received': {
      const { from, message } = event;
      if (message.kind === 'section') {
        const received = { kind: 'received', from, message: message.message } as const;
        return section(config, draft, received, context);
      }
      if (message.kind === 'store') {
        const received = { kind: 'received', from, message: message.message } as const;
        return store(config, draft, received, context);
      }
      return message.kind === 'money' ? draft : money(config, draft, from, message, context);
    }
    case 'timerFired': {
      const { timer } = event;
      assert(typeof timer !== 'string', 'timers of a paying client are its own');
      return timer.owner === 'section'
        ? section(config, draft, { kind: 'timerFired', timer: timer.timer }, context)
        : store(config, draft, { kind: 'timerFired', timer: timer.timer }, context);
    }
    case 'computed':
      return computed(config, draft, event, context);
  }
}

export const fullNode: Machine<FullNodeConfig, FullNodeSimState, FullNodeProtocol> = {
  start: (config, facts, context) => {
    if (config.kind === 'node') return startNode(config, facts, context);
    return startPayingClient(config.payment, facts, context);
  },
  step: (config, state, event, context) => {
    if (config.kind === 'node') {
      assert(state.kind === 'node', 'a node stays a node');
      return stepNode(config, state, event, context);
    }
    assert(state.kind === 'client', 'a client stays a client');
    return stepPayingClient(config.payment, state, event, context);
  },
};

/** Runs jobs; expensive money jobs run once per distinct job. */
export function createFullNodeCompute(suites: NodeSuites): (asked: FullNodeJob) => unknown {
  const ofMoney = memoizedJobs((asked: Exclude<FullNodeJob, { readonly kind: 'section' }>) => {
    switch (asked.kind) {
      case 'spentbook':
        return performSpentbookJob(asked.job, suites.threshold);
      case 'mint':
        return performMintJob(asked.job, suites.threshold);
      case 'payment':
        return performPaymentJob(asked.job, suites.threshold);
    }
  });
  return (asked) =>
    asked.kind === 'section' ? performSectionNodeJob(asked.job, suites) : ofMoney(asked);
}
