/**
 * The money of a full node: slots and lists of the current key, and the inheritance from earlier
 * keys.
 */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { keyed, type Keyed, type KeyedState } from '../keyed.ts';
import type { Context, Step } from '#core/machine.ts';
import type {
  GenesisOutput,
  SectionKey,
  MoneySection,
  SectionKeys,
} from '#money/spend-certificate.ts';
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
import { honestPageParts, inheritArchives } from '../handover-money/paged-list.ts';
import {
  withChange,
  noMoneyFacts,
  type ActiveMoney,
  type NodeDraft,
  type NodeConfig,
  type NodeState,
  type FullNodeFact,
  type FullNodeMessage,
  type FullNodeProtocol,
} from './full-node-state.ts';

const slots = keyed(spentbook);
const outputs = keyed(mint);

/** All keys that a tree can prove: current ones, and superseded ones with their sealed roots. */
export function keysOfTree(tree: SectionTree, genesisOutput: GenesisOutput): SectionKeys {
  const known = [...tree.keys.values()];
  const bare = ({ prefix, key, epoch }: SectionKey): SectionKey => ({ prefix, key, epoch });
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

export const keyLineTo = ({ section: { tree } }: NodeState, key: Uint8Array) =>
  chainBetween(tree, tree.anchor.genesisKey, key);

// Pure and expensive: seven elders inherit the same archives.
const inherited = new Map<string, Inheritance>();

/** The inheritance of this key; undefined while a list or the chain of keys is missing. */
function inheritanceOf(
  state: NodeState,
  { key, prefix }: Pick<MoneySection, 'key' | 'prefix'>,
): Inheritance | undefined {
  const line = keyLineTo(state, key);
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
  const known = inherited.get(id.join()) ?? inheritArchives(archives, prefix, honestPageParts);
  inherited.set(id.join(), known);
  return known;
}

interface MoneyConfigs {
  readonly slot: SpentbookConfig;
  readonly output: MintConfig;
}

function moneyConfig(config: NodeConfig, state: NodeState, books: ActiveMoney): MoneyConfigs {
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
    slot: { ...shared, name, secretShare, elders: [name], inherited: inheritance.slots },
    output: { ...shared, inherited: inheritance.outputs },
  };
}

const withNotedFact = <F>(
  before: ReadonlyMap<string, readonly F[]>,
  key: string,
  fact: F,
): ReadonlyMap<string, readonly F[]> =>
  new Map(before).set(key, [...(before.get(key) ?? []), fact]);

export function withMoneyFact(
  state: NodeState,
  fact: Extract<FullNodeFact, { kind: 'slot' | 'listed' }>,
): NodeState {
  const before = state.ledgers.get(fact.at) ?? noMoneyFacts;
  const ledger =
    fact.kind === 'slot'
      ? { ...before, slots: withNotedFact(before.slots, fact.key, fact.fact) }
      : { ...before, outputs: withNotedFact(before.outputs, fact.key, fact.fact) };
  return { ...state, ledgers: new Map(state.ledgers).set(fact.at, ledger) };
}

function liftSlots(
  draft: NodeDraft,
  step: Step<KeyedState<SpentbookState>, Keyed<Spentbook>>,
): NodeDraft {
  const { money } = draft.state;
  assert(money !== null, 'books are open');
  const { at } = money;
  let now = withChange(draft, { money: { ...money, slots: step.state } });
  for (const effect of step.effects) {
    if (effect.kind === 'persist') {
      const fact = { kind: 'slot', at, ...effect.fact } as const;
      now = withChange(
        { ...now, state: withMoneyFact(now.state, fact) },
        {},
        { kind: 'persist', fact },
      );
    } else if (effect.kind === 'send') {
      const { message } = effect.message;
      assert(isSpentbookAnswer(message), 'elders answer');
      const sent = {
        kind: 'money',
        asked: 'slot',
        message: encodeSpentbookAnswer(message),
      } as const;
      now = withChange(
        now,
        {},
        { kind: 'output', output: { kind: 'sent', at, payload: message.kind } },
        { kind: 'send', to: effect.to, message: sent },
      );
    } else if (effect.kind === 'compute') {
      const job = { kind: 'spentbook', job: effect.job } as const;
      now = withChange(now, {}, { kind: 'compute', id: { kind: 'slot', at, id: effect.id }, job });
    } else if (effect.kind === 'blame') now = withChange(now, {}, effect);
  }
  return now;
}

function liftOutputs(
  config: NodeConfig,
  draft: NodeDraft,
  step: Step<KeyedState<MintState>, Keyed<Mint>>,
  context: Context,
): NodeDraft {
  const { money } = draft.state;
  assert(money !== null, 'books are open');
  const { at } = money;
  let now = withChange(draft, { money: { ...money, outputs: step.state } });
  for (const effect of step.effects) {
    if (effect.kind === 'persist') {
      const fact = { kind: 'listed', at, ...effect.fact } as const;
      now = withChange(
        { ...now, state: withMoneyFact(now.state, fact) },
        {},
        { kind: 'persist', fact },
      );
    } else if (effect.kind === 'send') {
      const { message } = effect.message;
      assert(message.kind !== 'register', 'elders answer');
      const sent = { kind: 'money', asked: 'output', message: encodeMintAnswer(message) } as const;
      now = withChange(now, {}, { kind: 'send', to: effect.to, message: sent });
    } else if (effect.kind === 'compute') {
      const job = { kind: 'mint', job: effect.job } as const;
      now = withChange(
        now,
        {},
        { kind: 'compute', id: { kind: 'output', at, id: effect.id }, job },
      );
    } else if (effect.kind === 'blame') now = withChange(now, {}, effect);
    else if (effect.kind === 'output') {
      const { entry, decisions } = effect.output.output;
      now = withChange(now, {}, { kind: 'output', output: { kind: 'registered', at, entry } });
      for (const decision of decisions) {
        const own = now.state.money;
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

/** An elder of a current key starts its money state once it holds the inheritance. */
export function openMoney(config: NodeConfig, draft: NodeDraft, context: Context): NodeDraft {
  const { state } = draft;
  const { own, shares } = state.section;
  if (own === null) return draft;
  const { authority } = own.state;
  const at = toHex(authority.key);
  const share = shares.get(at);
  if (state.money?.at === at) return draft;
  const isElder = authority.elders.some(({ name }) => equalBytes(name, config.section.name));
  if (!isElder) return state.money === null ? draft : withChange(draft, { money: null });
  if (share === undefined) return draft;
  const { prefix, key, epoch, networkId } = authority;
  const section = { prefix, key, epoch, networkId, genesisOutput: config.genesisOutput };
  const inheritance = inheritanceOf(state, section);
  if (inheritance === undefined) return draft;
  const ledger = state.ledgers.get(at) ?? noMoneyFacts;
  const { secretShare } = share;
  const blank = { at, section, secretShare, inheritance, slots: new Map(), outputs: new Map() };
  const configs = moneyConfig(config, state, blank);
  const begun = slots.start(configs.slot, pairs(ledger.slots), context);
  const opened = liftSlots(withChange(draft, { money: { ...blank, slots: begun.state } }), begun);
  const listed = outputs.start(configs.output, pairs(ledger.outputs), context);
  return liftOutputs(config, opened, listed, context);
}

/** Handles a client's request. */
export function money(
  config: NodeConfig,
  draft: NodeDraft,
  from: string,
  message: Extract<FullNodeMessage, { kind: 'slot' | 'output' }>,
  context: Context,
): NodeDraft {
  const { money } = draft.state;
  if (money === null) return draft;
  const configs = moneyConfig(config, draft.state, money);
  if (message.kind === 'slot') {
    const asked = decodeSpentbookRequest(message.slot, message.message);
    if (!asked.ok) return draft;
    const inner = { key: spentbookKey(message.slot), message: asked.value };
    const received = { kind: 'received', from, message: inner } as const;
    return liftSlots(draft, slots.step(configs.slot, money.slots, received, context));
  }
  const asked = decodeMintRequest(message.key, message.message);
  if (!asked.ok) return draft;
  const inner = { key: mintKey(message.key), message: asked.value };
  const received = { kind: 'received', from, message: inner } as const;
  return liftOutputs(
    config,
    draft,
    outputs.step(configs.output, money.outputs, received, context),
    context,
  );
}

/** Handles the result of a money job. */
export function moneyComputed(
  config: NodeConfig,
  draft: NodeDraft,
  {
    id: job,
    result: outcome,
  }: { readonly id: FullNodeProtocol['jobId']; readonly result: unknown },
  context: Context,
): NodeDraft {
  const { money } = draft.state;
  // The job belongs to a key whose money is closed.
  if (money === null || !('at' in job) || money.at !== job.at) return draft;
  const configs = moneyConfig(config, draft.state, money);
  if (job.kind === 'slot') {
    const { id } = job;
    const result = outcome as Spentbook['result'];
    return liftSlots(
      draft,
      slots.step(configs.slot, money.slots, { kind: 'computed', id, result }, context),
    );
  }
  const { id } = job;
  const result = outcome as Mint['result'];
  const step = outputs.step(
    configs.output,
    money.outputs,
    { kind: 'computed', id, result },
    context,
  );
  return liftOutputs(config, draft, step, context);
}
