/**
 * Elders with spentbook, mint and handover, and paying clients, as one union machine: the role that
 * composes them is as small as it can be. The agreement on the sealed set is the test's hand.
 */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { stay, type Context, type Effect, type Event, type Machine } from '#core/machine.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { entriesRoot, sortEntries, type SealedEntry, type Snapshot } from '#money/snapshot.ts';
import {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  performHandoverJob,
  type Handover,
  type HandoverMessage,
} from '#protocol/handover/index.ts';
import { outputEntry } from '#protocol/mint/index.ts';
import { performSpentbookJob, slotEntry } from '#protocol/spentbook/index.ts';
import { performPaymentJob } from '#safe/payment/index.ts';
import { pageAt, pageBytesOf, withPage, type Grown } from './paged-list.ts';
import { remembered, startClient, stepClient } from './paying-client.ts';
import { createBooks, type MoneyFacts } from './seal-books.ts';
import {
  noBooks,
  type ElderConfig,
  type ElderState,
  type ElderStep,
  type Seal,
  type SealConfig,
  type SealFact,
  type SealJob,
  type SealParts,
  type SealState,
} from './seal-state.ts';

export function createSeal(
  parts: SealParts,
  suite: ThresholdSuite,
): Machine<SealConfig, SealState, Seal> {
  const { startMoney, money } = createBooks(parts);
  // Pure, and paid for once: seven elders check the same lists.
  const checked = new Map<string, boolean>();
  const checkedOnce = (root: string, find: () => boolean): boolean => {
    const known = checked.get(root) ?? find();
    checked.set(root, known);
    return known;
  };

  const snapshotOf = (config: ElderConfig, { old }: ElderState): readonly SealedEntry[] => {
    if (config.hides) return [];
    const epoch = config.old?.section.epoch ?? 0n;
    const entries = [
      ...[...old.slotFacts.values()].map((facts) => slotEntry(facts, epoch)),
      ...[...old.outputFacts.values()].map(outputEntry),
    ];
    return sortEntries(entries.filter((entry) => entry !== null));
  };

  const withList = (state: ElderState, entries: readonly SealedEntry[]): ElderState => ({
    ...state,
    lists: new Map(state.lists).set(toHex(entriesRoot(entries)), entries),
  });

  const withArriving = (state: ElderState, root: string, pages: Grown): ElderState => ({
    ...state,
    arriving: new Map(state.arriving).set(root, pages),
  });

  /** Feeds the handover and does what it wants, until it wants nothing more. */
  const tell = (
    config: ElderConfig,
    before: ElderState,
    event: Event<Handover>,
    context: Context,
  ): ElderStep => {
    if (before.handover === null) return { state: before, effects: [] };
    const step = parts.handover.step(config.handover, before.handover, event, context);
    return follow(config, { ...before, handover: step.state }, step.effects, context);
  };

  const follow = (
    config: ElderConfig,
    before: ElderState,
    wishes: readonly Effect<Handover>[],
    context: Context,
  ): ElderStep => {
    const effects: Effect<Seal>[] = [];
    let state = before;
    const take = (next: ElderStep): void => {
      state = next.state;
      effects.push(...next.effects);
    };
    const input = (said: Handover['input']): void =>
      take(tell(config, state, { kind: 'input', input: said }, context));
    const send = (to: readonly string[], message: HandoverMessage): void => {
      const bytes = encodeHandoverMessage(message);
      effects.push({ kind: 'send', to, message: { kind: 'handover', message: bytes } });
    };
    for (const wish of wishes) {
      switch (wish.kind) {
        case 'persist': {
          const bytes = encodeHandoverFact(wish.fact);
          effects.push({ kind: 'persist', fact: { kind: 'handover', bytes } });
          break;
        }
        case 'send':
          send(wish.to, wish.message);
          break;
        case 'compute': {
          const job = { kind: 'handover', job: wish.job } as const;
          effects.push({ kind: 'compute', id: `handover:${wish.id}`, job });
          break;
        }
        case 'setTimer':
        case 'clearTimer':
        case 'blame':
          effects.push(wish);
          break;
        case 'output': {
          const { output } = wish;
          effects.push({ kind: 'output', output: { kind: 'handover', output } });
          switch (output.kind) {
            case 'stop': {
              effects.push({ kind: 'persist', fact: { kind: 'moneySealed' } });
              const entries = snapshotOf(config, state);
              state = withList({ ...state, sealed: true }, entries);
              input({ kind: 'moneySealed', root: entriesRoot(entries) });
              break;
            }
            case 'fetch': {
              const root = toHex(output.root);
              const pages = state.arriving.get(root);
              // The last page may have come right before a crash.
              const known =
                state.lists.get(root) ?? (pages?.isWhole === true ? pages.entries : undefined);
              const wanted = new Map(state.wanted).set(root, output.elder);
              const { fetches } = state;
              state = { ...state, wanted, fetches: fetches + 1 };
              if (known !== undefined) take(arrived(config, state, output.root, known, context));
              else {
                const from = [0, 1].map((k) => output.from[(fetches + k) % output.from.length]);
                const first = output.from[0];
                const to = new Set([first, ...from].filter((id) => id !== undefined));
                const start = pages?.entries.length ?? 0;
                send([...to], { kind: 'askPage', root: output.root, start });
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
                // Another peer was faster, and may fall silent: this one is asked for what is lacking.
                const start = before?.entries.length ?? 0;
                if (page.start < start) send([from], { kind: 'askPage', root, start });
                break;
              }
              const { entries, isWhole } = grown;
              effects.push({ kind: 'persist', fact: { kind: 'page', page } });
              state = withArriving(state, name, grown);
              if (isWhole) take(arrived(config, state, root, entries, context));
              else send([from], { kind: 'askPage', root, start: entries.length });
              break;
            }
            case 'activate':
              state = { ...state, active: true };
              break;
            case 'release':
              // What was inherited stays: a late heir may need it.
              state = {
                ...state,
                lists: new Map([...state.lists].filter(([root]) => isOwn(state, root))),
              };
              break;
            case 'propose':
            case 'succeeded':
            case 'erase':
              break;
          }
        }
      }
    }
    return { state, effects };
  };

  /** A list whose root is right: a snapshot is checked entry by entry, the merged list is inherited. */
  const arrived = (
    config: ElderConfig,
    before: ElderState,
    root: Uint8Array,
    entries: readonly SealedEntry[],
    context: Context,
  ): ElderStep => {
    const elder = before.wanted.get(toHex(root));
    if (elder === undefined) return { state: before, effects: [] };
    const persist: Effect<Seal> = { kind: 'persist', fact: { kind: 'list', elder, entries } };
    let state = withList(before, entries);
    if (elder === null) {
      const epoch = config.handover.closing.authority.epoch;
      const archives = [...config.archives, { epoch, sealedRoot: root, entries }];
      state = { ...state, archives };
      const input = { kind: 'inherited', sealedRoot: root } as const;
      const next = tell(config, state, { kind: 'input', input }, context);
      return { state: next.state, effects: [persist, ...next.effects] };
    }
    assert(config.old !== null, 'only old elders fetch snapshots');
    const { section, known } = config.old;
    const good = checkedOnce(toHex(root), () => parts.check(section, known, suite, entries).ok);
    if (!good) return { state: before, effects: [] };
    const input = { kind: 'snapshotHeld', elder, root } as const;
    const next = tell(config, state, { kind: 'input', input }, context);
    return { state: next.state, effects: [persist, ...next.effects] };
  };

  const startElder = (
    config: ElderConfig,
    facts: readonly SealFact[],
    context: Context,
  ): ElderStep => {
    const own: MoneyFacts = { old: { slot: [], output: [] }, heir: { slot: [], output: [] } };
    let state: ElderState = {
      kind: 'elder',
      old: noBooks,
      heir: noBooks,
      sealed: false,
      active: false,
      handover: null,
      lists: new Map(),
      arriving: new Map(),
      archives: config.archives,
      wanted: new Map(),
      fetches: 0,
    };
    const said: Handover['fact'][] = [];
    const held: { readonly elder: number; readonly root: Uint8Array }[] = [];
    let closed = false;
    for (const fact of facts) {
      if (fact.kind === 'spentbook') own[fact.at].slot.push(fact);
      else if (fact.kind === 'mint') own[fact.at].output.push(fact);
      else if (fact.kind === 'closed') closed = true;
      else if (fact.kind === 'moneySealed') state = { ...state, sealed: true };
      else if (fact.kind === 'handover') said.push(must(decodeHandoverFact(fact.bytes)));
      else if (fact.kind === 'page') {
        const name = toHex(fact.page.root);
        const grown = withPage(state.arriving.get(name), fact.page, parts);
        // Written twice, when two lists were asked for at once.
        if (grown !== null) state = withArriving(state, name, grown);
      } else if (fact.kind === 'list') {
        state = withList(state, fact.entries);
        const root = entriesRoot(fact.entries);
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
    const next = begin(config, state, said, context);
    const all = [...effects, ...next.effects];
    state = next.state;
    for (const input of held) {
      const event = { kind: 'input', input: { kind: 'snapshotHeld', ...input } } as const;
      const step = tell(config, state, event, context);
      state = step.state;
      all.push(...step.effects);
    }
    return { state, effects: all };
  };

  const begin = (
    config: ElderConfig,
    state: ElderState,
    facts: readonly Handover['fact'][],
    context: Context,
  ): ElderStep => {
    const step = parts.handover.start(config.handover, facts, context);
    return follow(config, { ...state, handover: step.state }, step.effects, context);
  };

  const stepElder = (
    config: ElderConfig,
    state: ElderState,
    event: Event<Seal>,
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
      if (event.input.kind === 'cited') {
        return tell(config, state, { kind: 'input', input: event.input }, context);
      }
      if (event.input.kind !== 'sealed') return { state, effects: [] };
      // The merged list of the decided set, if this elder holds all of it: it can serve it then.
      const { phase } = event.input.state.ledger;
      assert(phase.kind === 'sealed', 'a sealed state');
      const snapshots = phase.snapshots.flatMap(({ elder, root }): Snapshot[] => {
        const entries = state.lists.get(toHex(root));
        return entries === undefined ? [] : [{ elder, entries }];
      });
      const whole = snapshots.length === phase.snapshots.length;
      const merged = whole ? withList(state, parts.merge(snapshots).entries) : state;
      return tell(config, merged, { kind: 'input', input: event.input }, context);
    }
    if (event.kind === 'timerFired') {
      return tell(config, state, { kind: 'timerFired', timer: 'repeat' }, context);
    }
    if (event.kind === 'received' && event.message.kind === 'handover') {
      const message = decodeHandoverMessage(event.message.message);
      if (!message.ok) return { state, effects: [] };
      const heard = { kind: 'received', from: event.from, message: message.value } as const;
      return tell(config, state, heard, context);
    }
    if (event.kind === 'computed' && event.id.startsWith('handover:')) {
      const id = event.id.slice('handover:'.length);
      const done = { kind: 'computed', id, result: event.result as Handover['result'] } as const;
      return tell(config, state, done, context);
    }
    return money(config, state, event, context);
  };

  return {
    start: (config, facts, context) => {
      if (config.kind === 'mallory') return stay({ kind: 'mallory' });
      if (config.kind === 'elder') return startElder(config, facts, context);
      return startClient(config.payment, facts, context);
    },
    step: (config, state, event, context) => {
      if (config.kind === 'mallory') {
        if (event.kind !== 'input') return stay(state);
        const { to, messages } = config;
        return { state, effects: messages.map((message) => ({ kind: 'send', to, message })) };
      }
      if (config.kind === 'elder') {
        assert(state.kind === 'elder', 'an elder stays an elder');
        return stepElder(config, state, event, context);
      }
      assert(state.kind === 'client', 'a client stays a client');
      return stepClient(config.payment, state, event, context);
    },
  };
}

export function createSealCompute(
  parts: SealParts,
  suite: ThresholdSuite,
): (job: SealJob) => unknown {
  return remembered((asked: SealJob) => performSealJob(asked, parts, suite));
}

const performSealJob = (
  { kind, job }: SealJob,
  parts: SealParts,
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
