/**
 * A node as it is in the end: its place in the section, the money of its keys and the chunks on its
 * disk, as one machine with one memory that a crash takes whole; and clients that pay.
 */
import { createHash } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { keyed, type Keyed, type KeyedState } from '#core/keyed.ts';
import { stay, type Context, type Effect, type Machine, type Step } from '#core/machine.ts';
import type { GenesisOutput, MoneyKey, MoneySection, SectionKeys } from '#money/certificate.ts';
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
import { inheritFrom, type HandoverMessage, type Inheritance } from '#protocol/handover/index.ts';
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
import { chainBetween, epochOf, sectionsOf, type SectionTree } from '#protocol/section/index.ts';
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
  performSectionNodeJob,
  sectionNode,
  type NodeSuites,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeOutput,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
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
import { adult, type Adult, type AdultConfig, type AdultState } from './replication-net.ts';

export type WholeConfig =
  | {
      readonly kind: 'node';
      readonly section: SectionNodeConfig;
      readonly store: AdultConfig;
      readonly genesisOutput: GenesisOutput;
    }
  | { readonly kind: 'client'; readonly payment: PaymentConfig };

export type WholeMessage =
  | { readonly kind: 'section'; readonly message: SectionNode['message'] }
  | { readonly kind: 'store'; readonly message: Adult['message'] }
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'money'; readonly asked: 'slot' | 'output'; readonly message: Uint8Array };

type WholeFact =
  | { readonly kind: 'section'; readonly fact: SectionNode['fact'] }
  | { readonly kind: 'store'; readonly fact: Adult['fact'] }
  | {
      readonly kind: 'slot';
      readonly at: string;
      readonly key: string;
      readonly fact: SpentbookFact;
    }
  | { readonly kind: 'listed'; readonly at: string; readonly key: string; readonly fact: MintFact }
  | { readonly kind: 'stopped'; readonly at: string }
  | { readonly kind: 'entries'; readonly entries: readonly SealedEntry[] }
  | { readonly kind: 'went' }
  | { readonly kind: 'payment'; readonly fact: PaymentFact };

export type WholeOutput =
  | { readonly kind: 'section'; readonly output: SectionNodeOutput }
  /** A share or acknowledgement of money leaves, under this key (hex). */
  | { readonly kind: 'said'; readonly at: string; readonly word: string }
  | { readonly kind: 'registered'; readonly at: string; readonly entry: Uint8Array }
  | { readonly kind: 'payment'; readonly output: Payment['output'] };

export type WholeJob =
  | { readonly kind: 'section'; readonly job: SectionNode['job'] }
  | { readonly kind: 'spentbook'; readonly job: Spentbook['job'] }
  | { readonly kind: 'mint'; readonly job: Mint['job'] }
  | { readonly kind: 'payment'; readonly job: Payment['job'] };

export interface Whole {
  readonly input:
    | { readonly kind: 'section'; readonly input: SectionNode['input'] }
    | { readonly kind: 'store'; readonly input: Adult['input'] }
    | { readonly kind: 'go' }
    | { readonly kind: 'sections'; readonly sections: PaymentSections };
  readonly message: WholeMessage;
  readonly fact: WholeFact;
  readonly output: WholeOutput;
  readonly fault:
    SectionNode['fault'] | Adult['fault'] | Spentbook['fault'] | Mint['fault'] | Payment['fault'];
  readonly timer: string;
  readonly job: WholeJob;
  readonly result: unknown;
}

/** What one key wrote at this node. */
interface Ledger {
  readonly slots: ReadonlyMap<string, readonly SpentbookFact[]>;
  readonly outputs: ReadonlyMap<string, readonly MintFact[]>;
}

/** Open books: of the key in force, once all that earlier keys sealed is here. */
interface Books {
  /** Hex of the key. */
  readonly at: string;
  readonly section: MoneySection;
  readonly secretShare: Uint8Array;
  readonly inheritance: Inheritance;
  readonly slots: KeyedState<SpentbookState>;
  readonly outputs: KeyedState<MintState>;
}

export interface NodeState {
  readonly kind: 'node';
  readonly section: SectionNodeState;
  readonly store: AdultState;
  readonly books: Books | null;
  readonly ledgers: ReadonlyMap<string, Ledger>;
  /** R6, by hex of the key: durably stopped. */
  readonly stopped: ReadonlySet<string>;
  /** By hex of the root. */
  readonly lists: ReadonlyMap<string, readonly SealedEntry[]>;
  /** By hex of the root: whose snapshot, or null for what a key left. */
  readonly wanted: ReadonlyMap<string, Want>;
  readonly asked: number;
}

interface Want {
  readonly key: Uint8Array;
  readonly root: Uint8Array;
  readonly elder: number | null;
  readonly from: readonly string[];
}

export type WholeState =
  NodeState | { readonly kind: 'client'; readonly payment: PaymentState | null };

type NodeConfig = WholeConfig & { readonly kind: 'node' };
interface Draft {
  readonly state: NodeState;
  readonly effects: readonly Effect<Whole>[];
}

const slots = keyed(spentbook);
const outputs = keyed(mint);
const noLedger: Ledger = { slots: new Map(), outputs: new Map() };

const grown = (
  draft: Draft,
  change: Partial<NodeState>,
  ...effects: readonly Effect<Whole>[]
): Draft => ({
  state: { ...draft.state, ...change },
  effects: effects.length === 0 ? draft.effects : [...draft.effects, ...effects],
});

/** All keys a tree can prove: those that speak, and those that said who follows them. */
export function keysOfTree(tree: SectionTree, genesisOutput: GenesisOutput): SectionKeys {
  const known = [...tree.keys.values()];
  const bare = ({ prefix, key, epoch }: MoneyKey): MoneyKey => ({ prefix, key, epoch });
  return {
    networkId: tree.anchor.networkId,
    genesisOutput,
    current: known.filter(({ successor }) => successor === null).map(bare),
    superseded: known.flatMap((each) =>
      each.successor === null
        ? []
        : [{ ...bare(each), sealedRoot: each.successor.record.sealedRoot }],
    ),
  };
}

const lineTo = ({ section: { tree } }: NodeState, key: Uint8Array) =>
  chainBetween(tree, tree.anchor.genesisKey, key);

// Pure, and dear: seven elders inherit the same archives.
const inherited = new Map<string, Inheritance>();

/** What came before this key; undefined while a list, or the way, is missing. */
function inheritanceOf(
  state: NodeState,
  { key, prefix }: Pick<MoneySection, 'key' | 'prefix'>,
): Inheritance | undefined {
  const line = lineTo(state, key);
  if (line === undefined) return undefined;
  const archives = line.flatMap(({ record: { sealedRoot, epoch } }) => {
    const entries = state.lists.get(toHex(sealedRoot));
    return entries === undefined ? [] : [{ epoch, sealedRoot, entries }];
  });
  if (archives.length < line.length) return undefined;
  const id = [
    toHex(prefix.bits),
    prefix.bitCount,
    ...archives.map((each) => toHex(each.sealedRoot)),
  ];
  const known = inherited.get(id.join()) ?? inheritFrom(archives, prefix);
  inherited.set(id.join(), known);
  return known;
}

interface MoneyConfigs {
  readonly slot: SpentbookConfig;
  readonly output: MintConfig;
}

function moneyConfig(config: NodeConfig, state: NodeState, books: Books): MoneyConfigs {
  const { name, identitySeed, suites } = config.section;
  const { section, secretShare, inheritance } = books;
  const shared = {
    section,
    known: keysOfTree(state.section.tree, config.genesisOutput),
    sealed: state.stopped.has(books.at),
    identitySeed,
    identity: suites.identity,
  };
  return {
    slot: { ...shared, name, secretShare, inherited: inheritance.slots },
    output: { ...shared, inherited: inheritance.outputs },
  };
}

const noted = <F>(
  before: ReadonlyMap<string, readonly F[]>,
  key: string,
  fact: F,
): ReadonlyMap<string, readonly F[]> =>
  new Map(before).set(key, [...(before.get(key) ?? []), fact]);

function withFact(
  state: NodeState,
  fact: Extract<WholeFact, { kind: 'slot' | 'listed' }>,
): NodeState {
  const before = state.ledgers.get(fact.at) ?? noLedger;
  const ledger =
    fact.kind === 'slot'
      ? { ...before, slots: noted(before.slots, fact.key, fact.fact) }
      : { ...before, outputs: noted(before.outputs, fact.key, fact.fact) };
  return { ...state, ledgers: new Map(state.ledgers).set(fact.at, ledger) };
}

function liftSlots(draft: Draft, step: Step<KeyedState<SpentbookState>, Keyed<Spentbook>>): Draft {
  const { books } = draft.state;
  assert(books !== null, 'books are open');
  const { at } = books;
  let now = grown(draft, { books: { ...books, slots: step.state } });
  for (const effect of step.effects) {
    if (effect.kind === 'persist') {
      const fact = { kind: 'slot', at, ...effect.fact } as const;
      now = grown({ ...now, state: withFact(now.state, fact) }, {}, { kind: 'persist', fact });
    } else if (effect.kind === 'send') {
      const { message } = effect.message;
      assert(isSpentbookAnswer(message), 'elders answer');
      const said = {
        kind: 'money',
        asked: 'slot',
        message: encodeSpentbookAnswer(message),
      } as const;
      now = grown(
        now,
        {},
        { kind: 'output', output: { kind: 'said', at, word: message.kind } },
        { kind: 'send', to: effect.to, message: said },
      );
    } else if (effect.kind === 'compute') {
      const job = { kind: 'spentbook', job: effect.job } as const;
      now = grown(now, {}, { kind: 'compute', id: `slot:${at}:${effect.id}`, job });
    } else if (effect.kind === 'blame') now = grown(now, {}, effect);
  }
  return now;
}

function liftOutputs(
  config: NodeConfig,
  draft: Draft,
  step: Step<KeyedState<MintState>, Keyed<Mint>>,
  context: Context,
): Draft {
  const { books } = draft.state;
  assert(books !== null, 'books are open');
  const { at } = books;
  let now = grown(draft, { books: { ...books, outputs: step.state } });
  for (const effect of step.effects) {
    if (effect.kind === 'persist') {
      const fact = { kind: 'listed', at, ...effect.fact } as const;
      now = grown({ ...now, state: withFact(now.state, fact) }, {}, { kind: 'persist', fact });
    } else if (effect.kind === 'send') {
      const { message } = effect.message;
      assert(message.kind !== 'register', 'elders answer');
      const said = { kind: 'money', asked: 'output', message: encodeMintAnswer(message) } as const;
      now = grown(now, {}, { kind: 'send', to: effect.to, message: said });
    } else if (effect.kind === 'compute') {
      const job = { kind: 'mint', job: effect.job } as const;
      now = grown(now, {}, { kind: 'compute', id: `output:${at}:${effect.id}`, job });
    } else if (effect.kind === 'blame') now = grown(now, {}, effect);
    else if (effect.kind === 'output') {
      const { entry, decisions } = effect.output.output;
      now = grown(now, {}, { kind: 'output', output: { kind: 'registered', at, entry } });
      for (const decision of decisions) {
        const own = now.state.books;
        assert(own !== null, 'books are open');
        const input = {
          key: spentbookKey(decision.slot),
          input: { kind: 'settle', decision },
        } as const;
        const { slot } = moneyConfig(config, now.state, own);
        now = liftSlots(now, slots.step(slot, own.slots, { kind: 'input', input }, context));
      }
    }
  }
  return now;
}

const pairs = <F>(facts: ReadonlyMap<string, readonly F[]>) =>
  [...facts].flatMap(([key, own]) => own.map((fact) => ({ key, fact })));

/** An elder of a key in force opens its books as soon as it has what came before. */
function openBooks(config: NodeConfig, draft: Draft, context: Context): Draft {
  const { state } = draft;
  const { own, shares } = state.section;
  if (own === null) return draft;
  const { authority } = own.state;
  const at = toHex(authority.key);
  const share = shares.get(at);
  if (state.books?.at === at) return draft;
  const isElder = authority.elders.some(({ name }) => equalBytes(name, config.section.name));
  if (!isElder) return state.books === null ? draft : grown(draft, { books: null });
  if (share === undefined) return draft;
  const { prefix, key, epoch, networkId } = authority;
  const section = { prefix, key, epoch, networkId, genesisOutput: config.genesisOutput };
  const inheritance = inheritanceOf(state, section);
  if (inheritance === undefined) return draft;
  const ledger = state.ledgers.get(at) ?? noLedger;
  const { secretShare } = share;
  const blank = { at, section, secretShare, inheritance, slots: new Map(), outputs: new Map() };
  const configs = moneyConfig(config, state, blank);
  const begun = slots.start(configs.slot, pairs(ledger.slots), context);
  const opened = liftSlots(grown(draft, { books: { ...blank, slots: begun.state } }), begun);
  const listed = outputs.start(configs.output, pairs(ledger.outputs), context);
  return liftOutputs(config, opened, listed, context);
}

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
      const entries = state.lists.get(toHex(output.root));
      const pages = entries === undefined ? [] : snapshotPages(entries);
      const page = pages[output.page];
      if (page === undefined) return draft;
      const { key, root } = output;
      const message: HandoverMessage = {
        kind: 'page',
        root,
        page: output.page,
        pages: pages.length,
        entries: page,
      };
      return tell(config, draft, { kind: 'say', key, to: [output.to], message }, context);
    }
    case 'page': {
      const { root, entries } = output.page;
      if (!state.wanted.has(toHex(root))) return draft;
      const list = entriesOfPages(root, [entries]);
      return list.ok ? arrivals(config, keep(draft, list.value), context) : draft;
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
    if (state.lists.has(toHex(root)) || from.length === 0) continue;
    const asked = now.state.asked + 1;
    const to = [from[0] ?? '', from[asked % from.length] ?? ''];
    const message = { kind: 'askPage', root, page: 0 } as const;
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
    wanted: new Map(),
    asked: 0,
  };
  for (const fact of facts) {
    if (fact.kind === 'slot' || fact.kind === 'listed') state = withFact(state, fact);
    else if (fact.kind === 'stopped') {
      state = { ...state, stopped: new Set(state.stopped).add(fact.at) };
    } else if (fact.kind === 'entries') {
      const root = toHex(entriesRoot(fact.entries));
      state = { ...state, lists: new Map(state.lists).set(root, fact.entries) };
    }
  }
  const draft = { state, effects: disk.effects.map(liftStore) };
  return openBooks(config, follow(config, draft, begun.effects, context), context);
}

function money(
  config: NodeConfig,
  draft: Draft,
  from: string,
  message: Extract<WholeMessage, { kind: 'slot' | 'output' }>,
  context: Context,
): Draft {
  const { books } = draft.state;
  if (books === null) return draft;
  const configs = moneyConfig(config, draft.state, books);
  if (message.kind === 'slot') {
    const asked = decodeSpentbookRequest(message.slot, message.message);
    if (!asked.ok) return draft;
    const inner = { key: spentbookKey(message.slot), message: asked.value };
    const heard = { kind: 'received', from, message: inner } as const;
    return liftSlots(draft, slots.step(configs.slot, books.slots, heard, context));
  }
  const asked = decodeMintRequest(message.key, message.message);
  if (!asked.ok) return draft;
  const inner = { key: mintKey(message.key), message: asked.value };
  const heard = { kind: 'received', from, message: inner } as const;
  return liftOutputs(
    config,
    draft,
    outputs.step(configs.output, books.outputs, heard, context),
    context,
  );
}

function computed(
  config: NodeConfig,
  draft: Draft,
  event: { readonly id: string; readonly result: unknown },
  context: Context,
): Draft {
  const [owner = '', at = ''] = event.id.split(':');
  if (owner === 'section') {
    const id = event.id.slice('section:'.length);
    const result = event.result as SectionNode['result'];
    return openBooks(
      config,
      section(config, draft, { kind: 'computed', id, result }, context),
      context,
    );
  }
  const { books } = draft.state;
  // Of a key whose books are closed.
  if (books?.at !== at) return draft;
  const id = event.id.slice(owner.length + at.length + 2);
  const configs = moneyConfig(config, draft.state, books);
  if (owner === 'slot') {
    const result = event.result as Spentbook['result'];
    return liftSlots(
      draft,
      slots.step(configs.slot, books.slots, { kind: 'computed', id, result }, context),
    );
  }
  const result = event.result as Mint['result'];
  const step = outputs.step(
    configs.output,
    books.outputs,
    { kind: 'computed', id, result },
    context,
  );
  return liftOutputs(config, draft, step, context);
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
    if (facts.length === 0) return stay({ kind: 'client', payment: null });
    const own = facts.flatMap((fact) => (fact.kind === 'payment' ? [fact.fact] : []));
    return client(payment.start(config.payment, own, context));
  },
  step: (config, state, event, context) => {
    if (config.kind === 'node') {
      assert(state.kind === 'node', 'a node stays a node');
      return stepNode(config, state, event, context);
    }
    assert(state.kind === 'client', 'a client stays a client');
    return stepClient(config.payment, state.payment, event, context);
  },
};

function stepClient(
  config: PaymentConfig,
  state: PaymentState | null,
  event: Received,
  context: Context,
): Step<WholeState, Whole> {
  const same = stay<WholeState, Whole>({ kind: 'client', payment: state });
  if (state === null) {
    if (event.kind !== 'input' || event.input.kind !== 'go') return same;
    const went = { kind: 'persist', fact: { kind: 'went' } } as const;
    return client(payment.start(config, [], context), [went]);
  }
  switch (event.kind) {
    case 'input':
      if (event.input.kind !== 'sections') return same;
      return client(payment.step(config, state, { kind: 'input', input: event.input }, context));
    case 'received': {
      if (event.message.kind !== 'money') return same;
      const message = decodePaymentAnswer(event.message.asked, event.message.message);
      if (!message.ok) return same;
      const heard = { kind: 'received', from: event.from, message: message.value } as const;
      return client(payment.step(config, state, heard, context));
    }
    case 'timerFired':
      return client(payment.step(config, state, { kind: 'timerFired', timer: 'repeat' }, context));
    case 'computed': {
      const result = event.result as Payment['result'];
      return client(
        payment.step(config, state, { kind: 'computed', id: event.id, result }, context),
      );
    }
  }
}

function client(
  step: Step<PaymentState, Payment>,
  before: readonly Effect<Whole>[] = [],
): Step<WholeState, Whole> {
  const effects = [...before];
  for (const effect of step.effects) {
    if (effect.kind === 'output') {
      effects.push({ kind: 'output', output: { kind: 'payment', output: effect.output } });
    } else if (effect.kind === 'send') {
      const message = encodePaymentRequest(effect.message);
      assert(message !== undefined, 'clients ask');
      effects.push({ kind: 'send', to: effect.to, message });
    } else if (effect.kind === 'persist') {
      effects.push({ kind: 'persist', fact: { kind: 'payment', fact: effect.fact } });
    } else if (effect.kind === 'compute') {
      effects.push({ ...effect, job: { kind: 'payment', job: effect.job } });
    } else effects.push(effect);
  }
  return { state: { kind: 'client', payment: step.state }, effects };
}

/** Performs jobs; those of money, which are dear, each distinct one once: they are pure. */
export function createWholeCompute(suites: NodeSuites): (asked: WholeJob) => unknown {
  const known = new Map<string, unknown>();
  return (asked) => {
    if (asked.kind === 'section') return performSectionNodeJob(asked.job, suites);
    const key = createHash('sha256').update(encodeCbor(asked)).digest('base64');
    const before = known.get(key);
    if (before !== undefined) return before;
    const result =
      asked.kind === 'spentbook'
        ? performSpentbookJob(asked.job, suites.threshold)
        : asked.kind === 'mint'
          ? performMintJob(asked.job, suites.threshold)
          : performPaymentJob(asked.job, suites.threshold);
    known.set(key, result);
    return result;
  };
}
