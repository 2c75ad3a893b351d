/**
 * Elders with spentbook, mint and handover, and paying clients, as one union machine: the role that
 * composes them is as small as it can be. The agreement on the sealed set is the test's hand.
 */
import { createHash } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { keyed, type Keyed, type KeyedState } from '#core/keyed.ts';
import {
  stay,
  type Context,
  type Effect,
  type Event,
  type Machine,
  type Step,
} from '#core/machine.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { sectionKeyHash, type MoneySection, type SectionKeys } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import {
  checkEntries,
  entriesOfPages,
  entriesRoot,
  mergeSnapshots,
  snapshotPages,
  sortEntries,
  type SealedEntry,
  type Snapshot,
} from '#money/snapshot.ts';
import {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  handover,
  inheritFrom,
  performHandoverJob,
  type Handover,
  type HandoverConfig,
  type HandoverMessage,
  type HandoverState,
  type Inheritance,
  type SealedArchive,
} from '#protocol/handover/index.ts';
import {
  decodeMintRequest,
  encodeMintAnswer,
  mint,
  mintKey,
  outputEntry,
  performMintJob,
  type Mint,
  type MintConfig,
  type MintFact,
  type MintState,
} from '#protocol/mint/index.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type { SectionState } from '#protocol/section/index.ts';
import {
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  isSpentbookAnswer,
  performSpentbookJob,
  slotEntry,
  spentbook,
  spentbookKey,
  type Spentbook,
  type SpentbookConfig,
  type SpentbookFact,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import {
  decodePaymentAnswer,
  encodePaymentRequest,
  payment,
  performPaymentJob,
  type Payment,
  type PaymentConfig,
  type PaymentFact,
  type PaymentSections,
  type PaymentState,
} from '#safe/payment/index.ts';

/** A key this node holds a share of. */
export interface Term {
  readonly section: MoneySection;
  readonly known: SectionKeys;
  readonly secretShare: Uint8Array;
}

export type SealConfig =
  | {
      readonly kind: 'elder';
      readonly name: Uint8Array;
      readonly identitySeed: Uint8Array;
      readonly identity: IdentitySuite;
      readonly handover: HandoverConfig;
      /** Its share of the old key, if it had one. */
      readonly old: Term | null;
      /** Its share of a new key, if it gets one. */
      readonly heir: Term | null;
      readonly archives: readonly SealedArchive[];
      /** A liar leaves this out of its snapshot, and goes on signing. */
      readonly hides: boolean;
    }
  | { readonly kind: 'client'; readonly payment: PaymentConfig }
  /** Sends these bytes to everybody in `to` whenever it is told to go. */
  | {
      readonly kind: 'mallory';
      readonly to: readonly string[];
      readonly messages: readonly SealMessage[];
    };

export type SealMessage =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'money'; readonly asked: 'slot' | 'output'; readonly message: Uint8Array }
  | { readonly kind: 'handover'; readonly message: Uint8Array };

type Where = 'old' | 'heir';

export type SealFact =
  | {
      readonly kind: 'spentbook';
      readonly at: Where;
      readonly key: string;
      readonly fact: SpentbookFact;
    }
  | { readonly kind: 'mint'; readonly at: Where; readonly key: string; readonly fact: MintFact }
  | { readonly kind: 'closed' }
  | { readonly kind: 'moneySealed' }
  | { readonly kind: 'handover'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'list';
      readonly elder: number | null;
      readonly entries: readonly SealedEntry[];
    }
  | { readonly kind: 'went' }
  | { readonly kind: 'payment'; readonly fact: PaymentFact };

export type SealOutput =
  | { readonly kind: 'said'; readonly at: Where; readonly message: Uint8Array }
  | { readonly kind: 'registered'; readonly at: Where; readonly entry: Uint8Array }
  | { readonly kind: 'payment'; readonly output: Payment['output'] }
  | { readonly kind: 'handover'; readonly output: Handover['output'] };

export type SealJob =
  | { readonly kind: 'spentbook'; readonly job: Spentbook['job'] }
  | { readonly kind: 'mint'; readonly job: Mint['job'] }
  | { readonly kind: 'payment'; readonly job: Payment['job'] }
  | { readonly kind: 'handover'; readonly job: Handover['job'] };

export interface Seal {
  readonly input:
    | { readonly kind: 'go' }
    | { readonly kind: 'close' }
    | { readonly kind: 'cited'; readonly snapshots: readonly SignedSnapshot[] }
    | { readonly kind: 'sealed'; readonly state: SectionState }
    | { readonly kind: 'sections'; readonly sections: PaymentSections };
  readonly message: SealMessage;
  readonly fact: SealFact;
  readonly output: SealOutput;
  readonly fault: Spentbook['fault'] | Mint['fault'] | Payment['fault'] | Handover['fault'];
  readonly timer: string;
  readonly job: SealJob;
  readonly result: unknown;
}

interface Books {
  readonly slots: KeyedState<SpentbookState>;
  readonly outputs: KeyedState<MintState>;
  readonly slotFacts: ReadonlyMap<string, readonly SpentbookFact[]>;
  readonly outputFacts: ReadonlyMap<string, readonly MintFact[]>;
}

export interface ElderState {
  readonly kind: 'elder';
  readonly old: Books;
  readonly heir: Books;
  /** R6: money of the old key has stopped. */
  readonly sealed: boolean;
  /** Money of the new key has begun. */
  readonly active: boolean;
  readonly handover: HandoverState | null;
  /** By hex of the root: what can be served. */
  readonly lists: ReadonlyMap<string, readonly SealedEntry[]>;
  readonly archives: readonly SealedArchive[];
  /** What a fetch is for: the elder whose snapshot it is, or null for the merged list. */
  readonly wanted: ReadonlyMap<string, number | null>;
  readonly fetches: number;
}

export type SealState =
  | ElderState
  | { readonly kind: 'client'; readonly payment: PaymentState | null }
  | { readonly kind: 'mallory' };

/** A mutant replaces one of these. */
export interface SealParts {
  readonly spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook>;
  readonly mint: Machine<MintConfig, MintState, Mint>;
  readonly handover: Machine<HandoverConfig, HandoverState, Handover>;
  readonly mintJob: typeof performMintJob;
  readonly inherit: typeof inheritFrom;
  readonly merge: typeof mergeSnapshots;
  readonly check: typeof checkEntries;
}

export const honestSeal: SealParts = {
  spentbook,
  mint,
  handover,
  mintJob: performMintJob,
  inherit: inheritFrom,
  merge: mergeSnapshots,
  check: checkEntries,
};

type Outcome = Step<SealState, Seal>;
type ElderConfig = SealConfig & { readonly kind: 'elder' };
type ElderStep = { readonly state: ElderState; readonly effects: readonly Effect<Seal>[] };

const noBooks: Books = {
  slots: new Map(),
  outputs: new Map(),
  slotFacts: new Map(),
  outputFacts: new Map(),
};
const nothing: Inheritance = { slots: new Map(), outputs: new Map() };

export function createSeal(
  parts: SealParts,
  suite: ThresholdSuite,
): Machine<SealConfig, SealState, Seal> {
  const slots = keyed(parts.spentbook);
  const outputs = keyed(parts.mint);
  // Pure, and paid for once: seven elders check the same lists.
  const checked = new Map<string, boolean>();
  const checkedOnce = (root: string, find: () => boolean): boolean => {
    const known = checked.get(root) ?? find();
    checked.set(root, known);
    return known;
  };
  const inherited = new WeakMap<readonly SealedArchive[], Map<string, Inheritance>>();
  const inheritanceOf = (
    archives: readonly SealedArchive[],
    section: MoneySection,
  ): Inheritance => {
    if (archives.length === 0) return nothing;
    const byKey = inherited.get(archives) ?? new Map<string, Inheritance>();
    inherited.set(archives, byKey);
    const key = toHex(section.key);
    const known = byKey.get(key) ?? parts.inherit(archives, section.prefix);
    byKey.set(key, known);
    return known;
  };

  const termAt = (config: ElderConfig, at: Where): Term | null =>
    at === 'old' ? config.old : config.heir;

  const moneyConfig = (
    config: ElderConfig,
    state: ElderState,
    at: Where,
  ): { readonly slot: SpentbookConfig; readonly output: MintConfig } => {
    const term = termAt(config, at);
    assert(term !== null, 'an elder of this key');
    const { section, known, secretShare } = term;
    const { name, identitySeed, identity } = config;
    // The heir's archives end with what was sealed; the old elder's without.
    const archives = at === 'old' ? config.archives : state.archives;
    const own = inheritanceOf(archives, section);
    const sealed = at === 'old' && state.sealed && !config.hides;
    const shared = { section, known, sealed, identitySeed, identity };
    return {
      slot: { ...shared, name, secretShare, inherited: own.slots },
      output: { ...shared, inherited: own.outputs },
    };
  };

  const liftSlots = (
    config: ElderConfig,
    state: ElderState,
    at: Where,
    step: Step<KeyedState<SpentbookState>, Keyed<Spentbook>>,
  ): ElderStep => {
    const effects: Effect<Seal>[] = [];
    const slotFacts = new Map(state[at].slotFacts);
    for (const effect of step.effects) {
      if (effect.kind === 'persist') {
        const { key, fact } = effect.fact;
        slotFacts.set(key, [...(slotFacts.get(key) ?? []), fact]);
        effects.push({ kind: 'persist', fact: { kind: 'spentbook', at, key, fact } });
      } else if (effect.kind === 'send') {
        const { message } = effect.message;
        assert(isSpentbookAnswer(message), 'elders answer');
        const bytes = encodeSpentbookAnswer(message);
        effects.push(
          { kind: 'output', output: { kind: 'said', at, message: bytes } },
          {
            kind: 'send',
            to: effect.to,
            message: { kind: 'money', asked: 'slot', message: bytes },
          },
        );
      } else if (effect.kind === 'compute') {
        const job = { kind: 'spentbook', job: effect.job } as const;
        effects.push({ kind: 'compute', id: `slot:${at}:${effect.id}`, job });
      } else if (effect.kind === 'blame') effects.push(effect);
    }
    return { state: { ...state, [at]: { ...state[at], slots: step.state, slotFacts } }, effects };
  };

  const liftOutputs = (
    config: ElderConfig,
    before: ElderState,
    at: Where,
    step: Step<KeyedState<MintState>, Keyed<Mint>>,
    context: Context,
  ): ElderStep => {
    const effects: Effect<Seal>[] = [];
    let state: ElderState = { ...before, [at]: { ...before[at], outputs: step.state } };
    for (const effect of step.effects) {
      if (effect.kind === 'persist') {
        const { key, fact } = effect.fact;
        const outputFacts = new Map(state[at].outputFacts);
        outputFacts.set(key, [...(outputFacts.get(key) ?? []), fact]);
        state = { ...state, [at]: { ...state[at], outputFacts } };
        effects.push({ kind: 'persist', fact: { kind: 'mint', at, key, fact } });
      } else if (effect.kind === 'send') {
        const { message } = effect.message;
        assert(message.kind !== 'register', 'elders answer');
        const bytes = encodeMintAnswer(message);
        const said = { kind: 'money', asked: 'output', message: bytes } as const;
        effects.push({ kind: 'send', to: effect.to, message: said });
      } else if (effect.kind === 'compute') {
        const job = { kind: 'mint', job: effect.job } as const;
        effects.push({ kind: 'compute', id: `output:${at}:${effect.id}`, job });
      } else if (effect.kind === 'blame') effects.push(effect);
      else if (effect.kind === 'output') {
        const { entry, decisions } = effect.output.output;
        effects.push({ kind: 'output', output: { kind: 'registered', at, entry } });
        for (const decision of decisions) {
          const key = spentbookKey(decision.slot);
          const input = { key, input: { kind: 'settle', decision } } as const;
          const { slot } = moneyConfig(config, state, at);
          const settled = slots.step(slot, state[at].slots, { kind: 'input', input }, context);
          const lifted = liftSlots(config, state, at, settled);
          state = lifted.state;
          effects.push(...lifted.effects);
        }
      }
    }
    return { state, effects };
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
              const known = state.lists.get(root);
              const wanted = new Map(state.wanted).set(root, output.elder);
              const { fetches } = state;
              state = { ...state, wanted, fetches: fetches + 1 };
              if (known !== undefined) take(arrived(config, state, output.root, known, context));
              else {
                const from = [0, 1].map((k) => output.from[(fetches + k) % output.from.length]);
                const first = output.from[0];
                const to = new Set([first, ...from].filter((id) => id !== undefined));
                send([...to], { kind: 'askPage', root: output.root, page: 0 });
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
              const pages = entries && snapshotPages(entries);
              const page = pages?.[output.page];
              if (pages === undefined || page === undefined) break;
              const { root } = output;
              const count = pages.length;
              send([output.to], {
                kind: 'page',
                root,
                page: output.page,
                pages: count,
                entries: page,
              });
              break;
            }
            case 'page': {
              const { root, entries } = output.page;
              if (!state.wanted.has(toHex(root)) || state.lists.has(toHex(root))) break;
              const list = entriesOfPages(root, [entries]);
              if (list.ok) take(arrived(config, state, root, list.value, context));
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

  const money = (
    config: ElderConfig,
    state: ElderState,
    event: Event<Seal>,
    context: Context,
  ): ElderStep => {
    const none: ElderStep = { state, effects: [] };
    const best: Where | null =
      config.heir !== null && state.active ? 'heir' : config.old !== null ? 'old' : null;
    const place = (section: Uint8Array): Where | null => {
      const { heir } = config;
      const forHeir = heir !== null && equalBytes(section, sectionKeyHash(heir.section.key));
      if (forHeir) return state.active ? 'heir' : null;
      const forOld = config.old && equalBytes(section, sectionKeyHash(config.old.section.key));
      return forOld === true ? 'old' : best;
    };
    if (event.kind === 'received' && event.message.kind === 'slot') {
      const { slot } = event.message;
      const message = decodeSpentbookRequest(slot, event.message.message);
      if (!message.ok) return none;
      const at = message.value.kind === 'prove' ? best : place(message.value.section);
      if (at === null) return none;
      const asked = { key: spentbookKey(slot), message: message.value };
      const heard = { kind: 'received', from: event.from, message: asked } as const;
      const configured = moneyConfig(config, state, at).slot;
      return liftSlots(config, state, at, slots.step(configured, state[at].slots, heard, context));
    }
    if (event.kind === 'received' && event.message.kind === 'output') {
      const { key } = event.message;
      const message = decodeMintRequest(key, event.message.message);
      const at = message.ok ? place(message.value.section) : null;
      if (!message.ok || at === null) return none;
      const asked = { key: mintKey(key), message: message.value };
      const heard = { kind: 'received', from: event.from, message: asked } as const;
      const configured = moneyConfig(config, state, at).output;
      const step = outputs.step(configured, state[at].outputs, heard, context);
      return liftOutputs(config, state, at, step, context);
    }
    if (event.kind !== 'computed') return none;
    const [what = '', where = ''] = event.id.split(':');
    const at = where === 'heir' ? 'heir' : 'old';
    const id = event.id.slice(what.length + where.length + 2);
    if (what === 'slot') {
      const result = event.result as Spentbook['result'];
      const done = { kind: 'computed', id, result } as const;
      const configured = moneyConfig(config, state, at).slot;
      return liftSlots(config, state, at, slots.step(configured, state[at].slots, done, context));
    }
    const done = { kind: 'computed', id, result: event.result as Mint['result'] } as const;
    const configured = moneyConfig(config, state, at).output;
    const step = outputs.step(configured, state[at].outputs, done, context);
    return liftOutputs(config, state, at, step, context);
  };

  const startElder = (
    config: ElderConfig,
    facts: readonly SealFact[],
    context: Context,
  ): ElderStep => {
    const own: Record<
      Where,
      { slot: { key: string; fact: SpentbookFact }[]; output: { key: string; fact: MintFact }[] }
    > = { old: { slot: [], output: [] }, heir: { slot: [], output: [] } };
    let state: ElderState = {
      kind: 'elder',
      old: noBooks,
      heir: noBooks,
      sealed: false,
      active: false,
      handover: null,
      lists: new Map(),
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
      else if (fact.kind === 'list') {
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
    const effects: Effect<Seal>[] = [];
    for (const at of ['old', 'heir'] as const) {
      if (termAt(config, at) === null) continue;
      const { slot, output } = moneyConfig(config, state, at);
      const slotFacts = group(own[at].slot);
      const outputFacts = group(own[at].output);
      const begun = slots.start(slot, own[at].slot, context);
      state = { ...state, [at]: { ...noBooks, slots: begun.state, slotFacts, outputFacts } };
      const listed = outputs.start(output, own[at].output, context);
      const lifted = liftOutputs(config, state, at, listed, context);
      state = lifted.state;
      effects.push(...lifted.effects);
    }
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
      if (facts.length === 0) return stay({ kind: 'client', payment: null });
      const own = facts.flatMap((fact) => (fact.kind === 'payment' ? [fact.fact] : []));
      return client(payment.start(config.payment, own, context));
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
      return stepClient(config.payment, state.payment, event, context);
    },
  };
}

function stepClient(
  config: PaymentConfig,
  state: PaymentState | null,
  event: Event<Seal>,
  context: Context,
): Outcome {
  if (state === null) {
    if (event.kind !== 'input' || event.input.kind !== 'go') {
      return stay({ kind: 'client', payment: null });
    }
    return client(payment.start(config, [], context), [
      { kind: 'persist', fact: { kind: 'went' } },
    ]);
  }
  const same = stay<SealState, Seal>({ kind: 'client', payment: state });
  if (event.kind === 'input') {
    if (event.input.kind !== 'sections') return same;
    return client(payment.step(config, state, { kind: 'input', input: event.input }, context));
  }
  if (event.kind === 'received') {
    if (event.message.kind !== 'money') return same;
    const message = decodePaymentAnswer(event.message.asked, event.message.message);
    if (!message.ok) return same;
    const heard = { kind: 'received', from: event.from, message: message.value } as const;
    return client(payment.step(config, state, heard, context));
  }
  const inner =
    event.kind === 'timerFired'
      ? ({ kind: 'timerFired', timer: 'repeat' } as const)
      : ({ kind: 'computed', id: event.id, result: event.result as Payment['result'] } as const);
  return client(payment.step(config, state, inner, context));
}

function client(step: Step<PaymentState, Payment>, before: readonly Effect<Seal>[] = []): Outcome {
  const effects = [...before];
  for (const effect of step.effects) {
    switch (effect.kind) {
      case 'output':
        effects.push({ kind: 'output', output: { kind: 'payment', output: effect.output } });
        break;
      case 'send': {
        const message = encodePaymentRequest(effect.message);
        assert(message !== undefined, 'clients ask');
        effects.push({ kind: 'send', to: effect.to, message });
        break;
      }
      case 'persist':
        effects.push({ kind: 'persist', fact: { kind: 'payment', fact: effect.fact } });
        break;
      case 'compute':
        effects.push({ ...effect, job: { kind: 'payment', job: effect.job } });
        break;
      default:
        effects.push(effect);
    }
  }
  return { state: { kind: 'client', payment: step.state }, effects };
}

/** Performs jobs, each distinct one once: they are pure. */
export function createSealCompute(
  parts: SealParts,
  suite: ThresholdSuite,
): (job: SealJob) => unknown {
  const known = new Map<string, unknown>();
  return (asked) => {
    const key = createHash('sha256').update(encodeCbor(asked)).digest('base64');
    const before = known.get(key);
    if (before !== undefined) return before;
    const result = performSealJob(asked, parts, suite);
    known.set(key, result);
    return result;
  };
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

function group<F>(
  facts: readonly { readonly key: string; readonly fact: F }[],
): ReadonlyMap<string, readonly F[]> {
  const byKey = new Map<string, F[]>();
  for (const { key, fact } of facts) byKey.set(key, [...(byKey.get(key) ?? []), fact]);
  return byKey;
}

function must<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  if (!result.ok) throw new Error('our own facts decode');
  return result.value;
}
