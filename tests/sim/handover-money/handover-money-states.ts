/** The money of the elders of `seal`: slots and lists, and the key that a request is for. */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { keyed, type Keyed, type KeyedState } from '../keyed.ts';
import type { Context, Effect, Event, Step } from '#core/machine.ts';
import { sectionKeyHash, type MoneySection } from '#money/spend-certificate.ts';
import type { Inheritance } from '#protocol/handover/index.ts';
import {
  decodeMintRequest,
  encodeMintAnswer,
  mintKey,
  type Mint,
  type MintConfig,
  type MintFact,
  type MintState,
} from '#protocol/mint/index.ts';
import {
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  isSpentbookAnswer,
  spentbookKey,
  type Spentbook,
  type SpentbookConfig,
  type SpentbookFact,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import { inheritArchives, type SealedArchive } from './paged-list.ts';
import {
  noMoneyStates,
  type ElderConfig,
  type ElderState,
  type ElderStep,
  type HandoverMoneyProtocol,
  type HandoverMoneyParts,
  type OwnKeyShare,
  type KeySide,
} from './handover-money-protocol.ts';

const nothing: Inheritance = { slots: new Map(), outputs: new Map() };

/** Money facts on disk, by key and by slot or output. */
export type MoneyFacts = Record<
  KeySide,
  { slot: { key: string; fact: SpentbookFact }[]; output: { key: string; fact: MintFact }[] }
>;

/** The money of an elder under the old key and the new one. */
export function createMoneyStates(parts: HandoverMoneyParts) {
  const slots = keyed(parts.spentbook);
  const outputs = keyed(parts.mint);
  // Pure and expensive: seven elders inherit the same archives.
  const inherited = new Map<string, Inheritance>();
  const inheritanceOf = (
    archives: readonly SealedArchive[],
    section: MoneySection,
  ): Inheritance => {
    if (archives.length === 0) return nothing;
    const roots = archives.map(({ sealedRoot }) => toHex(sealedRoot));
    const id = [toHex(section.key), ...roots].join();
    const known = inherited.get(id) ?? inheritArchives(archives, section.prefix, parts);
    inherited.set(id, known);
    return known;
  };

  const shareAt = (config: ElderConfig, at: KeySide): OwnKeyShare | null =>
    at === 'old' ? config.old : config.successor;

  const moneyConfig = (
    config: ElderConfig,
    state: ElderState,
    at: KeySide,
  ): { readonly slot: SpentbookConfig; readonly output: MintConfig } => {
    const term = shareAt(config, at);
    assert(term !== null, 'an elder of this key');
    const { section, known, secretShare } = term;
    const { name, identitySeed, identity } = config;
    // The new elders' archives include the list just sealed; the old elder's do not.
    const archives = at === 'old' ? config.archives : state.archives;
    const own = inheritanceOf(archives, section);
    const sealed = at === 'old' && state.sealed && !config.hides;
    const shared = { section, known, sealed, identitySeed, identity };
    return {
      slot: { ...shared, name, secretShare, elders: [name], inherited: own.slots },
      output: { ...shared, inherited: own.outputs },
    };
  };

  const liftSlots = (
    config: ElderConfig,
    state: ElderState,
    at: KeySide,
    step: Step<KeyedState<SpentbookState>, Keyed<Spentbook>>,
  ): ElderStep => {
    const effects: Effect<HandoverMoneyProtocol>[] = [];
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
          { kind: 'output', output: { kind: 'sent', at, message: bytes } },
          {
            kind: 'send',
            to: effect.to,
            message: { kind: 'money', asked: 'slot', message: bytes },
          },
        );
      } else if (effect.kind === 'compute') {
        const job = { kind: 'spentbook', job: effect.job } as const;
        effects.push({ kind: 'compute', id: { kind: 'slot', at, id: effect.id }, job });
      } else if (effect.kind === 'blame') effects.push(effect);
    }
    return { state: { ...state, [at]: { ...state[at], slots: step.state, slotFacts } }, effects };
  };

  const liftOutputs = (
    config: ElderConfig,
    before: ElderState,
    at: KeySide,
    step: Step<KeyedState<MintState>, Keyed<Mint>>,
    context: Context,
  ): ElderStep => {
    const effects: Effect<HandoverMoneyProtocol>[] = [];
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
        const sent = { kind: 'money', asked: 'output', message: bytes } as const;
        effects.push({ kind: 'send', to: effect.to, message: sent });
      } else if (effect.kind === 'compute') {
        const job = { kind: 'mint', job: effect.job } as const;
        effects.push({ kind: 'compute', id: { kind: 'output', at, id: effect.id }, job });
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

  const money = (
    config: ElderConfig,
    state: ElderState,
    event: Event<HandoverMoneyProtocol>,
    context: Context,
  ): ElderStep => {
    const none: ElderStep = { state, effects: [] };
    const best: KeySide | null =
      config.successor !== null && state.active ? 'successor' : config.old !== null ? 'old' : null;
    const place = (section: Uint8Array): KeySide | null => {
      const { successor } = config;
      const forSuccessor =
        successor !== null && equalBytes(section, sectionKeyHash(successor.section.key));
      if (forSuccessor) return state.active ? 'successor' : null;
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
      const received = { kind: 'received', from: event.from, message: asked } as const;
      const configured = moneyConfig(config, state, at).slot;
      return liftSlots(
        config,
        state,
        at,
        slots.step(configured, state[at].slots, received, context),
      );
    }
    if (event.kind === 'received' && event.message.kind === 'output') {
      const { key } = event.message;
      const message = decodeMintRequest(key, event.message.message);
      const at = message.ok ? place(message.value.section) : null;
      if (!message.ok || at === null) return none;
      const asked = { key: mintKey(key), message: message.value };
      const received = { kind: 'received', from: event.from, message: asked } as const;
      const configured = moneyConfig(config, state, at).output;
      const step = outputs.step(configured, state[at].outputs, received, context);
      return liftOutputs(config, state, at, step, context);
    }
    if (event.kind !== 'computed' || !('at' in event.id)) return none;
    const { at } = event.id;
    if (event.id.kind === 'slot') {
      const { id } = event.id;
      const result = event.result as Spentbook['result'];
      const done = { kind: 'computed', id, result } as const;
      const configured = moneyConfig(config, state, at).slot;
      return liftSlots(config, state, at, slots.step(configured, state[at].slots, done, context));
    }
    const { id } = event.id;
    const done = { kind: 'computed', id, result: event.result as Mint['result'] } as const;
    const configured = moneyConfig(config, state, at).output;
    const step = outputs.step(configured, state[at].outputs, done, context);
    return liftOutputs(config, state, at, step, context);
  };

  /** The money state of both keys, restored from their facts. */
  const startMoney = (
    config: ElderConfig,
    before: ElderState,
    own: MoneyFacts,
    context: Context,
  ): ElderStep => {
    let state = before;
    const effects: Effect<HandoverMoneyProtocol>[] = [];
    for (const at of ['old', 'successor'] as const) {
      if (shareAt(config, at) === null) continue;
      const { slot, output } = moneyConfig(config, state, at);
      const slotFacts = group(own[at].slot);
      const outputFacts = group(own[at].output);
      const begun = slots.start(slot, own[at].slot, context);
      state = { ...state, [at]: { ...noMoneyStates, slots: begun.state, slotFacts, outputFacts } };
      const listed = outputs.start(output, own[at].output, context);
      const lifted = liftOutputs(config, state, at, listed, context);
      state = lifted.state;
      effects.push(...lifted.effects);
    }
    return { state, effects };
  };

  return { startMoney, money };
}

function group<F>(
  facts: readonly { readonly key: string; readonly fact: F }[],
): ReadonlyMap<string, readonly F[]> {
  const byKey = new Map<string, F[]>();
  for (const { key, fact } of facts) byKey.set(key, [...(byKey.get(key) ?? []), fact]);
  return byKey;
}
