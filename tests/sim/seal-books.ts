/** The money of the elders of `seal`: slots and lists, and which of two keys a request is for. */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { keyed, type Keyed, type KeyedState } from './keyed.ts';
import type { Context, Effect, Event, Step } from '#core/machine.ts';
import { sectionKeyHash, type MoneySection } from '#money/certificate.ts';
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
  noBooks,
  type ElderConfig,
  type ElderState,
  type ElderStep,
  type Seal,
  type SealParts,
  type Term,
  type Where,
} from './seal-state.ts';

const nothing: Inheritance = { slots: new Map(), outputs: new Map() };

/** What was written down of money, by key and place. */
export type MoneyFacts = Record<
  Where,
  { slot: { key: string; fact: SpentbookFact }[]; output: { key: string; fact: MintFact }[] }
>;

/** The money of an elder under the old key and the new one. */
export function createBooks(parts: SealParts) {
  const slots = keyed(parts.spentbook);
  const outputs = keyed(parts.mint);
  // Pure, and dear: seven elders inherit the same archives.
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

  /** The books of both keys, from what their facts say. */
  const startMoney = (
    config: ElderConfig,
    before: ElderState,
    own: MoneyFacts,
    context: Context,
  ): ElderStep => {
    let state = before;
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
