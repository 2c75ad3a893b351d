/** The money of a whole node: slots and lists of the key in force, and what came before it. */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { keyed, type Keyed, type KeyedState } from './keyed.ts';
import type { Context, Step } from '#core/machine.ts';
import type { GenesisOutput, MoneyKey, MoneySection, SectionKeys } from '#money/certificate.ts';
import type { Inheritance } from '#protocol/handover/index.ts';
import {
  decodeMintRequest,
  encodeMintAnswer,
  mint,
  mintKey,
  type Mint,
  type MintConfig,
  type MintState,
} from '#protocol/mint/index.ts';
import { chainBetween, type SectionTree } from '#protocol/section/index.ts';
import {
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  isSpentbookAnswer,
  spentbook,
  spentbookKey,
  type Spentbook,
  type SpentbookConfig,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import { honestPages, inheritArchives } from './paged-list.ts';
import {
  grown,
  noLedger,
  type Books,
  type Draft,
  type NodeConfig,
  type NodeState,
  type WholeFact,
  type WholeMessage,
} from './whole-state.ts';

const slots = keyed(spentbook);
const outputs = keyed(mint);

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

export const lineTo = ({ section: { tree } }: NodeState, key: Uint8Array) =>
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
  const known = inherited.get(id.join()) ?? inheritArchives(archives, prefix, honestPages);
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

export function withFact(
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
export function openBooks(config: NodeConfig, draft: Draft, context: Context): Draft {
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

/** What a client asked. */
export function money(
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

/** A job of money is done. */
export function moneyComputed(
  config: NodeConfig,
  draft: Draft,
  event: { readonly id: string; readonly result: unknown },
  context: Context,
): Draft {
  const [owner = '', at = ''] = event.id.split(':');
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
