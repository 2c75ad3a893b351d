/**
 * A node as it is in the end: its place in the section, the money of its keys and the chunks on its
 * disk, as one machine with one memory that a crash takes whole; and clients that pay.
 */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, Effect, Machine } from '#core/machine.ts';
import {
  checkEntries,
  entriesRoot,
  mergeSnapshots,
  sortEntries,
  type SealedEntry,
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
import { honestPages, pageAt, pageBytesOf, withPage } from './paged-list.ts';
import { adult, type Adult } from './replication-net.ts';
import { remembered, startClient, stepClient } from './paying-client.ts';
import { keysOfTree, lineTo, money, moneyComputed, openBooks, withFact } from './whole-books.ts';
import {
  grown,
  noLedger,
  type Draft,
  type NodeConfig,
  type NodeState,
  type Want,
  type Whole,
  type WholeConfig,
  type WholeFact,
  type WholeJob,
  type WholeState,
} from './whole-state.ts';

/** One event for the section's machine, and all that it asks of its shell. */
function section(
  config: NodeConfig,
  draft: Draft,
  event: Parameters<typeof sectionNode.step>[2],
  context: Context,
): Draft {
  const { tree } = draft.state.section;
  const step = sectionNode.step(config.section, draft.state.section, event, context);
  const now = follow(config, grown(draft, { section: step.state }), step.effects, context);
  return step.state.tree.sections === tree.sections ? now : tellStore(config, now, context);
}

/** R7: what is not ours to keep goes to those who answer for it, once they are known. */
function tellStore(config: NodeConfig, draft: Draft, context: Context): Draft {
  const { own, tree } = draft.state.section;
  if (own === null) return draft;
  const { authority } = own.state;
  const others = sectionsOf(tree).filter(({ key }) => !equalBytes(key, authority.key));
  const input = { kind: 'adopted', section: authority, others } as const;
  return store(config, draft, { kind: 'input', input }, context);
}

const tell = (
  config: NodeConfig,
  draft: Draft,
  input: SectionNode['input'],
  context: Context,
): Draft => section(config, draft, { kind: 'input', input }, context);

function follow(
  config: NodeConfig,
  draft: Draft,
  effects: readonly Effect<SectionNode>[],
  context: Context,
): Draft {
  let now = draft;
  for (const effect of effects) {
    switch (effect.kind) {
      case 'persist':
        now = grown(now, {}, { kind: 'persist', fact: { kind: 'section', fact: effect.fact } });
        break;
      case 'send': {
        const message = { kind: 'section', message: effect.message } as const;
        now = grown(now, {}, { kind: 'send', to: effect.to, message });
        break;
      }
      case 'compute': {
        const job = { kind: 'section', job: effect.job } as const;
        now = grown(now, {}, { kind: 'compute', id: `section:${effect.id}`, job });
        break;
      }
      case 'setTimer':
      case 'clearTimer':
        now = grown(now, {}, { ...effect, timer: `section:${effect.timer}` });
        break;
      case 'blame':
        now = grown(now, {}, effect);
        break;
      case 'output': {
        const output = { kind: 'section', output: effect.output } as const;
        now = perform(config, grown(now, {}, { kind: 'output', output }), effect.output, context);
      }
    }
  }
  return now;
}

const keep = (draft: Draft, entries: readonly SealedEntry[]): Draft => {
  const root = toHex(entriesRoot(entries));
  if (draft.state.lists.has(root)) return draft;
  const lists = new Map(draft.state.lists).set(root, entries);
  return grown(draft, { lists }, { kind: 'persist', fact: { kind: 'entries', entries } });
};

function perform(
  config: NodeConfig,
  draft: Draft,
  output: SectionNodeOutput,
  context: Context,
): Draft {
  const { state } = draft;
  switch (output.kind) {
    case 'adopted':
      return openBooks(config, tellStore(config, draft, context), context);
    case 'sealMoney': {
      const at = toHex(output.key);
      const ledger = state.ledgers.get(at) ?? noLedger;
      const epoch = epochOf(state.section.tree, output.key) ?? 0n;
      const entries = [
        ...[...ledger.slots.values()].map((facts) => slotEntry(facts, epoch)),
        ...[...ledger.outputs.values()].map(outputEntry),
      ].filter((entry) => entry !== null);
      const stopped = grown(
        draft,
        { stopped: new Set(state.stopped).add(at) },
        { kind: 'persist', fact: { kind: 'stopped', at } },
      );
      const sorted = sortEntries(entries);
      const { key } = output;
      const root = entriesRoot(sorted);
      return tell(config, keep(stopped, sorted), { kind: 'moneySealed', key, root }, context);
    }
    case 'fetch': {
      const { key, root, elder, from } = output;
      return want(config, draft, { key, root, elder, from }, context);
    }
    case 'serve': {
      const { key, root, start } = output;
      const entries = state.lists.get(toHex(root));
      const pageBytes = pageBytesOf(toHex(config.section.name));
      const page = entries && pageAt(entries, start, pageBytes, honestPages);
      if (!page) return draft;
      const message: HandoverMessage = { ...page, kind: 'page', root };
      return tell(config, draft, { kind: 'say', key, to: [output.to], message }, context);
    }
    case 'page': {
      const { key, from, page } = output;
      const { root } = page;
      const name = toHex(root);
      if (!state.wanted.has(name) || state.lists.has(name)) return draft;
      const before = state.arriving.get(name);
      const longer = withPage(before, page, honestPages);
      if (longer === null) {
        // Another peer was faster, and may fall silent: this one is asked for what is lacking.
        const start = before?.entries.length ?? 0;
        if (page.start >= start) return draft;
        const message = { kind: 'askPage', root, start } as const;
        return tell(config, draft, { kind: 'say', key, to: [from], message }, context);
      }
      const { entries, isWhole } = longer;
      const arriving = new Map(state.arriving).set(name, longer);
      const now = grown(draft, { arriving }, { kind: 'persist', fact: { kind: 'page', page } });
      if (isWhole) return arrivals(config, keep(now, entries), context);
      const message = { kind: 'askPage', root, start: entries.length } as const;
      return tell(config, now, { kind: 'say', key, to: [from], message }, context);
    }
    case 'merge': {
      const { key, snapshots } = output;
      const held = snapshots.flatMap(({ elder, root }): Snapshot[] => {
        const entries = state.lists.get(toHex(root));
        return entries === undefined ? [] : [{ elder, entries }];
      });
      if (held.length < snapshots.length) return draft;
      const { entries, sealedRoot: root } = mergeSnapshots(held);
      return tell(config, keep(draft, entries), { kind: 'merged', key, snapshots, root }, context);
    }
    default:
      return draft;
  }
}

function want(config: NodeConfig, draft: Draft, wish: Want, context: Context): Draft {
  const { state } = draft;
  const line = wish.elder === null ? (lineTo(state, wish.key) ?? []) : [];
  const wishes = [wish, ...line.map(({ record }) => ({ ...wish, root: record.sealedRoot }))];
  const wanted = new Map(state.wanted);
  for (const each of wishes) {
    // What older keys left is wanted for no answer of its own.
    if (each === wish || !wanted.has(toHex(each.root))) wanted.set(toHex(each.root), each);
  }
  let now = grown(draft, { wanted });
  for (const { key, root, from } of wishes) {
    const pages = now.state.arriving.get(toHex(root));
    // The last page may have come right before a crash.
    if (pages?.isWhole === true) now = keep(now, pages.entries);
    if (now.state.lists.has(toHex(root)) || from.length === 0) continue;
    const asked = now.state.asked + 1;
    const to = [from[0] ?? '', from[asked % from.length] ?? ''];
    const start = pages?.entries.length ?? 0;
    const message = { kind: 'askPage', root, start } as const;
    const say = { kind: 'say', key, to: [...new Set(to)], message } as const;
    now = tell(config, grown(now, { asked }), say, context);
  }
  return arrivals(config, now, context);
}

// Pure, and dear: seven elders check the same lists.
const checked = new Map<string, boolean>();

/** Everything wanted that is here is answered, once. */
function arrivals(config: NodeConfig, draft: Draft, context: Context): Draft {
  let now = draft;
  for (const [id, { key, root, elder }] of draft.state.wanted) {
    const { state } = now;
    const entries = state.lists.get(id);
    if (entries === undefined || !state.wanted.has(id)) continue;
    if (elder === null) {
      const line = lineTo(state, key) ?? [];
      const whole = line.every(({ record }) => state.lists.has(toHex(record.sealedRoot)));
      if (!whole) continue;
      now = done(now, id);
      now = tell(config, now, { kind: 'inherited', key, sealedRoot: root }, context);
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
      checkEntries(money, known, config.section.suites.threshold, entries).ok;
    checked.set(`${toHex(key)}${id}`, good);
    now = done(now, id);
    if (good) now = tell(config, now, { kind: 'snapshotHeld', key, elder, root }, context);
  }
  return openBooks(config, now, context);
}

function done(draft: Draft, id: string): Draft {
  const wanted = new Map(draft.state.wanted);
  wanted.delete(id);
  return grown(draft, { wanted });
}

function store(
  config: NodeConfig,
  draft: Draft,
  event: Parameters<typeof adult.step>[2],
  context: Context,
): Draft {
  const step = adult.step(config.store, draft.state.store, event, context);
  return grown(draft, { store: step.state }, ...step.effects.map(liftStore));
}

function liftStore(effect: Effect<Adult>): Effect<Whole> {
  switch (effect.kind) {
    case 'persist':
      return { kind: 'persist', fact: { kind: 'store', fact: effect.fact } };
    case 'send':
      return { ...effect, message: { kind: 'store', message: effect.message } };
    case 'setTimer':
    case 'clearTimer':
      return { ...effect, timer: `store:${effect.timer}` };
    case 'blame':
      return effect;
    case 'compute':
    case 'output':
      throw new Error('storing nodes compute and say nothing');
  }
}

function startNode(config: NodeConfig, facts: readonly WholeFact[], context: Context): Draft {
  const own = facts.flatMap((fact) => (fact.kind === 'section' ? [fact.fact] : []));
  const kept = facts.flatMap((fact) => (fact.kind === 'store' ? [fact.fact] : []));
  const disk = adult.start(config.store, kept, context);
  const begun = sectionNode.start(config.section, own, context);
  let state: NodeState = {
    kind: 'node',
    section: begun.state,
    store: disk.state,
    books: null,
    ledgers: new Map(),
    stopped: new Set(),
    lists: new Map(),
    arriving: new Map(),
    wanted: new Map(),
    asked: 0,
  };
  for (const fact of facts) {
    if (fact.kind === 'slot' || fact.kind === 'listed') state = withFact(state, fact);
    else if (fact.kind === 'stopped') {
      state = { ...state, stopped: new Set(state.stopped).add(fact.at) };
    } else if (fact.kind === 'page') {
      const root = toHex(fact.page.root);
      const longer = withPage(state.arriving.get(root), fact.page, honestPages);
      if (longer !== null) {
        state = { ...state, arriving: new Map(state.arriving).set(root, longer) };
      }
    } else if (fact.kind === 'entries') {
      const root = toHex(entriesRoot(fact.entries));
      state = { ...state, lists: new Map(state.lists).set(root, fact.entries) };
    }
  }
  const draft = { state, effects: disk.effects.map(liftStore) };
  return openBooks(config, follow(config, draft, begun.effects, context), context);
}

function computed(
  config: NodeConfig,
  draft: Draft,
  event: { readonly id: string; readonly result: unknown },
  context: Context,
): Draft {
  const [owner = ''] = event.id.split(':');
  if (owner === 'section') {
    const id = event.id.slice('section:'.length);
    const result = event.result as SectionNode['result'];
    return openBooks(
      config,
      section(config, draft, { kind: 'computed', id, result }, context),
      context,
    );
  }
  return moneyComputed(config, draft, event, context);
}

type Received = Parameters<typeof wholeNode.step>[2];

function stepNode(config: NodeConfig, state: NodeState, event: Received, context: Context): Draft {
  const draft: Draft = { state, effects: [] };
  switch (event.kind) {
    case 'input':
      if (event.input.kind === 'section') return tell(config, draft, event.input.input, context);
      if (event.input.kind !== 'store') return draft;
      return store(config, draft, { kind: 'input', input: event.input.input }, context);
    case 'received': {
      const { from, message } = event;
      if (message.kind === 'section') {
        const heard = { kind: 'received', from, message: message.message } as const;
        return section(config, draft, heard, context);
      }
      if (message.kind === 'store') {
        const heard = { kind: 'received', from, message: message.message } as const;
        return store(config, draft, heard, context);
      }
      return message.kind === 'money' ? draft : money(config, draft, from, message, context);
    }
    case 'timerFired': {
      const [owner = ''] = event.timer.split(':');
      const timer = event.timer.slice(owner.length + 1);
      const fired = { kind: 'timerFired', timer } as const;
      if (owner === 'section') return section(config, draft, fired, context);
      return store(config, draft, fired, context);
    }
    case 'computed':
      return computed(config, draft, event, context);
  }
}

export const wholeNode: Machine<WholeConfig, WholeState, Whole> = {
  start: (config, facts, context) => {
    if (config.kind === 'node') return startNode(config, facts, context);
    return startClient(config.payment, facts, context);
  },
  step: (config, state, event, context) => {
    if (config.kind === 'node') {
      assert(state.kind === 'node', 'a node stays a node');
      return stepNode(config, state, event, context);
    }
    assert(state.kind === 'client', 'a client stays a client');
    return stepClient(config.payment, state, event, context);
  },
};

/** Performs jobs: those of money, which are dear, each distinct one once. */
export function createWholeCompute(suites: NodeSuites): (asked: WholeJob) => unknown {
  const ofMoney = remembered((asked: Exclude<WholeJob, { readonly kind: 'section' }>) => {
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
