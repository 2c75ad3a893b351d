/**
 * Elders with spentbook, mint and handover, and paying clients, as one union machine: a minimal
 * role that composes them. The test provides the agreement on the sealed set.
 */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { Context, Effect, Event, Machine } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  snapshotRoot,
  sortSnapshotEntries,
  type SnapshotEntry,
  type Snapshot,
} from '#money/snapshot.ts';
import {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  performHandoverJob,
  type HandoverProtocol,
  type HandoverMessage,
} from '#protocol/handover/index.ts';
import { outputEntry } from '#protocol/mint/index.ts';
import { performSpentbookJob, slotEntry } from '#protocol/spentbook/index.ts';
import { performPaymentJob } from '#safe/payment/index.ts';
import { pageAt, pageBytesOf, withPage, type PartialList } from './paged-list.ts';
import { memoizedJobs, startPayingClient, stepPayingClient } from '../payment/paying-client.ts';
import { createMoneyStates, type MoneyFacts } from './handover-money-states.ts';
import {
  noMoneyStates,
  type ElderConfig,
  type ElderState,
  type ElderStep,
  type HandoverMoneyProtocol,
  type HandoverMoneyConfig,
  type HandoverMoneyFact,
  type HandoverMoneyJob,
  type HandoverMoneyParts,
  type HandoverMoneyState,
} from './handover-money-protocol.ts';

export function createHandoverMoney(
  parts: HandoverMoneyParts,
  suite: ThresholdSuite,
): Machine<HandoverMoneyConfig, HandoverMoneyState, HandoverMoneyProtocol> {
  const { startMoney, money } = createMoneyStates(parts);
  // Pure and expensive: seven elders check the same lists.
  const checked = new Map<string, boolean>();
  const checkedOnce = (root: string, find: () => boolean): boolean => {
    const known = checked.get(root) ?? find();
    checked.set(root, known);
    return known;
  };

  const snapshotOf = (config: ElderConfig, { old }: ElderState): readonly SnapshotEntry[] => {
    if (config.hides) return [];
    const epoch = config.old?.section.epoch ?? 0n;
    const entries = [
      ...[...old.slotFacts.values()].map((facts) => slotEntry(facts, epoch)),
      ...[...old.outputFacts.values()].map(outputEntry),
    ];
    return sortSnapshotEntries(entries.filter((entry) => entry !== null));
  };

  const withList = (state: ElderState, entries: readonly SnapshotEntry[]): ElderState => ({
    ...state,
    lists: new Map(state.lists).set(toHex(snapshotRoot(entries)), entries),
  });

  const withArriving = (state: ElderState, root: string, pages: PartialList): ElderState => ({
    ...state,
    arriving: new Map(state.arriving).set(root, pages),
  });

  /** Passes events to the handover and performs its outputs until there are none. */
  const feed = (
    config: ElderConfig,
    before: ElderState,
    event: Event<HandoverProtocol>,
    context: Context,
  ): ElderStep => {
    if (before.handover === null) return { state: before, effects: [] };
    const step = parts.handover.step(config.handover, before.handover, event, context);
    return follow(config, { ...before, handover: step.state }, step.effects, context);
  };

  const follow = (
    config: ElderConfig,
    before: ElderState,
    handoverEffects: readonly Effect<HandoverProtocol>[],
    context: Context,
  ): ElderStep => {
    const effects: Effect<HandoverMoneyProtocol>[] = [];
    let state = before;
    const take = (next: ElderStep): void => {
      state = next.state;
      effects.push(...next.effects);
    };
    const input = (sent: HandoverProtocol['input']): void =>
      take(feed(config, state, { kind: 'input', input: sent }, context));
    const send = (to: readonly string[], message: HandoverMessage): void => {
      const bytes = encodeHandoverMessage(message);
      effects.push({ kind: 'send', to, message: { kind: 'handover', message: bytes } });
    };
    for (const handoverEffect of handoverEffects) {
      switch (handoverEffect.kind) {
        case 'persist': {
          const bytes = encodeHandoverFact(handoverEffect.fact);
          effects.push({ kind: 'persist', fact: { kind: 'handover', bytes } });
          break;
        }
        case 'send':
          send(handoverEffect.to, handoverEffect.message);
          break;
        case 'compute': {
          const job = { kind: 'handover', job: handoverEffect.job } as const;
          effects.push({ kind: 'compute', id: { kind: 'handover', id: handoverEffect.id }, job });
          break;
        }
        case 'setTimer':
        case 'clearTimer':
        case 'blame':
          effects.push(handoverEffect);
          break;
        case 'output': {
          const { output } = handoverEffect;
          effects.push({ kind: 'output', output: { kind: 'handover', output } });
          switch (output.kind) {
            case 'freezeMoney': {
              effects.push({ kind: 'persist', fact: { kind: 'moneySealed' } });
              const entries = snapshotOf(config, state);
              state = withList({ ...state, sealed: true }, entries);
              input({ kind: 'moneySealed', root: snapshotRoot(entries) });
              break;
            }
            case 'fetch': {
              const root = toHex(output.root);
              const pages = state.arriving.get(root);
              // The last page may have arrived just before a crash.
              const known =
                state.lists.get(root) ?? (pages?.isComplete === true ? pages.entries : undefined);
              const wanted = new Map(state.wanted).set(root, output.elder);
              const { fetches } = state;
              state = { ...state, wanted, fetches: fetches + 1 };
              if (known !== undefined) take(arrived(config, state, output.root, known, context));
              else {
                const from = [0, 1].map((k) => output.from[(fetches + k) % output.from.length]);
                const first = output.from[0];
                const to = new Set([first, ...from].filter((id) => id !== undefined));
                const start = pages?.entries.length ?? 0;
                send([...to], { kind: 'requestPage', root: output.root, start });
              }
              break;
            }
            case 'merge': {
              const snapshots = output.snapshots.flatMap(({ elder, root }): Snapshot[] => {
                const entries = state.lists.get(toHex(root));
                if (entries === undefined) throw new Error('N23: merged what it does not hold');
                return [{ elder, entries }];
              });
              const merged = parts.merge(snapshots);
              state = withList(state, merged.entries);
              const { sealedRoot } = merged;
              input({ kind: 'merged', snapshots: output.snapshots, sealedRoot });
              break;
            }
            case 'serve': {
              const entries = state.lists.get(toHex(output.root));
              const { root, start } = output;
              const pageBytes = pageBytesOf(toHex(config.name));
              const page = entries && pageAt(entries, start, pageBytes, parts);
              if (!page) break;
              send([output.to], { ...page, kind: 'page', root });
              break;
            }
            case 'page': {
              const { page, from } = output;
              const { root } = page;
              const name = toHex(root);
              if (!state.wanted.has(name) || state.lists.has(name)) break;
              const before = state.arriving.get(name);
              const grown = withPage(before, page, parts);
              if (grown === null) {
                // A faster peer sent this page first, but may stop answering: request the missing
                // pages here too.
                const start = before?.entries.length ?? 0;
                if (page.start < start) send([from], { kind: 'requestPage', root, start });
                break;
              }
              const { entries, isComplete } = grown;
              effects.push({ kind: 'persist', fact: { kind: 'page', page } });
              state = withArriving(state, name, grown);
              if (isComplete) take(arrived(config, state, root, entries, context));
              else send([from], { kind: 'requestPage', root, start: entries.length });
              break;
            }
            case 'activateKey':
              state = { ...state, active: true };
              break;
            case 'releaseSnapshots':
              // Inherited lists stay: a late new elder may need them.
              state = {
                ...state,
                lists: new Map([...state.lists].filter(([root]) => isOwn(state, root))),
              };
              break;
            case 'propose':
            case 'succeeded':
            case 'eraseShare':
              break;
          }
        }
      }
    }
    return { state, effects };
  };

  /** A list with the right root: verify a snapshot entry by entry, inherit a merged list. */
  const arrived = (
    config: ElderConfig,
    before: ElderState,
    root: Uint8Array,
    entries: readonly SnapshotEntry[],
    context: Context,
  ): ElderStep => {
    const elder = before.wanted.get(toHex(root));
    if (elder === undefined) return { state: before, effects: [] };
    const persist: Effect<HandoverMoneyProtocol> = {
      kind: 'persist',
      fact: { kind: 'list', elder, entries },
    };
    let state = withList(before, entries);
    if (elder === null) {
      const epoch = config.handover.closing.authority.epoch;
      const archives = [...config.archives, { epoch, sealedRoot: root, entries }];
      state = { ...state, archives };
      const input = { kind: 'inherited', sealedRoot: root } as const;
      const next = feed(config, state, { kind: 'input', input }, context);
      return { state: next.state, effects: [persist, ...next.effects] };
    }
    assert(config.old !== null, 'only old elders fetch snapshots');
    const { section, known } = config.old;
    const good = checkedOnce(toHex(root), () => parts.check(section, known, suite, entries).ok);
    if (!good) return { state: before, effects: [] };
    const input = { kind: 'snapshotHeld', elder, root } as const;
    const next = feed(config, state, { kind: 'input', input }, context);
    return { state: next.state, effects: [persist, ...next.effects] };
  };

  const startElder = (
    config: ElderConfig,
    facts: readonly HandoverMoneyFact[],
    context: Context,
  ): ElderStep => {
    const own: MoneyFacts = { old: { slot: [], output: [] }, successor: { slot: [], output: [] } };
    let state: ElderState = {
      kind: 'elder',
      old: noMoneyStates,
      successor: noMoneyStates,
      sealed: false,
      active: false,
      handover: null,
      lists: new Map(),
      arriving: new Map(),
      archives: config.archives,
      wanted: new Map(),
      fetches: 0,
    };
    const sent: HandoverProtocol['fact'][] = [];
    const held: { readonly elder: number; readonly root: Uint8Array }[] = [];
    let closed = false;
    for (const fact of facts) {
      if (fact.kind === 'spentbook') own[fact.at].slot.push(fact);
      else if (fact.kind === 'mint') own[fact.at].output.push(fact);
      else if (fact.kind === 'closed') closed = true;
      else if (fact.kind === 'moneySealed') state = { ...state, sealed: true };
      else if (fact.kind === 'handover') sent.push(must(decodeHandoverFact(fact.bytes)));
      else if (fact.kind === 'page') {
        const name = toHex(fact.page.root);
        const grown = withPage(state.arriving.get(name), fact.page, parts);
        // A page requested twice is written twice: skip the second.
        if (grown !== null) state = withArriving(state, name, grown);
      } else if (fact.kind === 'list') {
        state = withList(state, fact.entries);
        const root = snapshotRoot(fact.entries);
        if (fact.elder !== null) held.push({ elder: fact.elder, root });
        else {
          const epoch = config.handover.closing.authority.epoch;
          const sealed = { epoch, sealedRoot: root, entries: fact.entries };
          state = { ...state, archives: [...config.archives, sealed] };
        }
      }
    }
    const opened = startMoney(config, state, own, context);
    const { effects } = opened;
    state = opened.state;
    if (!closed) return { state, effects };
    if (state.sealed) state = withList(state, snapshotOf(config, state));
    const next = begin(config, state, sent, context);
    const all = [...effects, ...next.effects];
    state = next.state;
    for (const input of held) {
      const event = { kind: 'input', input: { kind: 'snapshotHeld', ...input } } as const;
      const step = feed(config, state, event, context);
      state = step.state;
      all.push(...step.effects);
    }
    return { state, effects: all };
  };

  const begin = (
    config: ElderConfig,
    state: ElderState,
    facts: readonly HandoverProtocol['fact'][],
    context: Context,
  ): ElderStep => {
    const step = parts.handover.start(config.handover, facts, context);
    return follow(config, { ...state, handover: step.state }, step.effects, context);
  };

  const stepElder = (
    config: ElderConfig,
    state: ElderState,
    event: Event<HandoverMoneyProtocol>,
    context: Context,
  ): ElderStep => {
    if (event.kind === 'input') {
      if (event.input.kind === 'close' && state.handover === null) {
        const next = begin(config, state, [], context);
        return {
          state: next.state,
          effects: [{ kind: 'persist', fact: { kind: 'closed' } }, ...next.effects],
        };
      }
      if (event.input.kind === 'snapshotsReferenced') {
        return feed(config, state, { kind: 'input', input: event.input }, context);
      }
      if (event.input.kind !== 'sealed') return { state, effects: [] };
      // The merged list of the decided set, if this elder holds all of it and so can serve it.
      const { phase } = event.input.state.ledger;
      assert(phase.kind === 'sealed', 'a sealed state');
      const snapshots = phase.snapshots.flatMap(({ elder, root }): Snapshot[] => {
        const entries = state.lists.get(toHex(root));
        return entries === undefined ? [] : [{ elder, entries }];
      });
      const whole = snapshots.length === phase.snapshots.length;
      const merged = whole ? withList(state, parts.merge(snapshots).entries) : state;
      return feed(config, merged, { kind: 'input', input: event.input }, context);
    }
    if (event.kind === 'timerFired') {
      return feed(config, state, { kind: 'timerFired', timer: 'repeat' }, context);
    }
    if (event.kind === 'received' && event.message.kind === 'handover') {
      const message = decodeHandoverMessage(event.message.message);
      if (!message.ok) return { state, effects: [] };
      const received = { kind: 'received', from: event.from, message: message.value } as const;
      return feed(config, state, received, context);
    }
    if (event.kind === 'computed' && event.id.kind === 'handover') {
      const { id } = event.id;
      const done = {
        kind: 'computed',
        id,
        result: event.result as HandoverProtocol['result'],
      } as const;
      return feed(config, state, done, context);
    }
    return money(config, state, event, context);
  };

  return {
    start: (config, facts, context) => {
      if (config.kind === 'mallory') return unchanged({ kind: 'mallory' });
      if (config.kind === 'elder') return startElder(config, facts, context);
      return startPayingClient(config.payment, facts, context);
    },
    step: (config, state, event, context) => {
      if (config.kind === 'mallory') {
        if (event.kind !== 'input') return unchanged(state);
        const { to, messages } = config;
        return { state, effects: messages.map((message) => ({ kind: 'send', to, message })) };
      }
      if (config.kind === 'elder') {
        assert(state.kind === 'elder', 'an elder stays an elder');
        return stepElder(config, state, event, context);
      }
      assert(state.kind === 'client', 'a client stays a client');
      return stepPayingClient(config.payment, state, event, context);
    },
  };
}

export function createHandoverMoneyCompute(
  parts: HandoverMoneyParts,
  suite: ThresholdSuite,
): (job: HandoverMoneyJob) => unknown {
  return memoizedJobs((asked: HandoverMoneyJob) => performHandoverMoneyJob(asked, parts, suite));
}

const performHandoverMoneyJob = (
  { kind, job }: HandoverMoneyJob,
  parts: HandoverMoneyParts,
  suite: ThresholdSuite,
): unknown => {
  switch (kind) {
    case 'spentbook':
      return performSpentbookJob(job, suite);
    case 'mint':
      return parts.mintJob(job, suite);
    case 'payment':
      return performPaymentJob(job, suite);
    case 'handover':
      return performHandoverJob(job, suite);
  }
};

const isOwn = ({ archives }: ElderState, root: string): boolean =>
  archives.some(({ sealedRoot }) => toHex(sealedRoot) === root);

function must<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  if (!result.ok) throw new Error('our own facts decode');
  return result.value;
}
