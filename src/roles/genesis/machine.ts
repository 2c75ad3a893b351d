/**
 * The birth of a network: seven founders make a key, agree on it and sign the first section
 * authority with it (README: G1–G6). A machine of three: the key generation and the agreement
 * inside, the signing around them.
 */
import { nameToId } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { compareBytes, equalBytes } from '#core/codec/bytes.ts';
import { lift } from '#core/compose.ts';
import {
  stay,
  type Context,
  type Effect,
  type Event,
  type Machine,
  type NodeId,
  type Step,
} from '#core/machine.ts';
import {
  agreement,
  type Agreement,
  type AgreementFact,
  type AgreementState,
} from '#protocol/agreement/index.ts';
import {
  decodeReady,
  dkg,
  encodeReady,
  listHash,
  sortedNames,
  type DealingList,
  type Dkg,
  type DkgState,
  type KeyShareSet,
} from '#protocol/dkg/index.ts';
import { authoritySigningBytes, SHARES_REQUIRED } from '#protocol/section/index.ts';
import { birthId, genesisAuthority } from './authority.ts';
import { agreementConfig, agreementLift, bindingOf, dkgConfig, dkgLift } from './inner.ts';
import type { GenesisMessage } from './messages.ts';
import type {
  Born,
  Genesis,
  GenesisConfig,
  GenesisFact,
  GenesisResult,
  GenesisState,
} from './state.ts';

type GenesisStep = Step<GenesisState, Genesis>;
type GenesisEffect = Effect<Genesis>;
type Signing = GenesisState & { readonly kind: 'signing' };

export const genesis: Machine<GenesisConfig, GenesisState, Genesis> = {
  start: (config, facts, context) => {
    const born = facts.find((fact) => fact.kind === 'born');
    if (born !== undefined) return reborn(config, facts, born, context);
    const inner = restore(config, facts, context);
    const begun: GenesisStep = {
      state: {
        kind: 'generating',
        dkg: inner.dkg.state,
        agreement: inner.agreement.state,
        chosen: null,
        shares: new Map(),
      },
      effects: lift(inner.agreement.effects, agreementLift(config)).effects,
    };
    return after(begun, (state) =>
      after(absorbDkg(config, state, inner.dkg, context), (next) => choose(config, next, context)),
    );
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return stay(state);
      case 'timerFired': {
        const { timer } = event;
        if (timer === 'gossip') return gossip(config, state);
        if (timer === 'dkg/gossip') {
          return stepDkg(config, state, { kind: 'timerFired', timer: 'gossip' }, context);
        }
        const inner = timer.slice('agreement/'.length) as Agreement['timer'];
        return stepAgreement(config, state, { kind: 'timerFired', timer: inner }, context);
      }
      case 'computed':
        return computed(config, state, event.id, event.result, context);
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

const restore = (config: GenesisConfig, facts: readonly GenesisFact[], context: Context) => ({
  dkg: dkg.start(
    dkgConfig(config),
    facts.flatMap((fact) => (fact.kind === 'dkg' ? [fact.fact] : [])),
    context,
  ),
  agreement: agreement.start(
    agreementConfig(config),
    facts.flatMap((fact): AgreementFact[] => (fact.kind === 'agreement' ? [fact.fact] : [])),
    context,
  ),
});

/** Goes on from where a step led, and keeps the order of what is to be done. */
function after(step: GenesisStep, next: (state: GenesisState) => GenesisStep): GenesisStep {
  const more = next(step.state);
  return { state: more.state, effects: [...step.effects, ...more.effects] };
}

function receive(
  config: GenesisConfig,
  state: GenesisState,
  from: NodeId,
  message: GenesisMessage,
  context: Context,
): GenesisStep {
  if (message.kind === 'dkg') {
    return stepDkg(config, state, { kind: 'received', from, message: message.message }, context);
  }
  const index = indexOf(config, from);
  if (index === 0 || from === config.self) return stay(state);
  if (message.kind === 'agreement') {
    const event = { kind: 'received', from, message: message.message } as const;
    return stepAgreement(config, state, event, context);
  }
  if (!equalBytes(message.sessionId, birthId(config))) return stay(state);
  switch (message.kind) {
    case 'share':
      return takeShare(state, index, message.signature);
    case 'ask':
      return answer(config, state, from);
    case 'born': {
      if (state.kind !== 'signing') return stay(state);
      const { authority } = state;
      const job = { kind: 'check', authority, signature: message.signature, from } as const;
      return { state, effects: [{ kind: 'compute', id: `check:${from}`, job }] };
    }
    default:
      return assertNever(message);
  }
}

function computed(
  config: GenesisConfig,
  state: GenesisState,
  id: string,
  result: GenesisResult,
  context: Context,
): GenesisStep {
  const inner = id.slice(id.indexOf('/') + 1);
  if (result.kind === 'dkg') {
    return stepDkg(config, state, { kind: 'computed', id: inner, result: result.result }, context);
  }
  if (result.kind === 'validated') {
    const event = { kind: 'computed', id: inner, result: result.result } as const;
    return stepAgreement(config, state, event, context);
  }
  if (state.kind !== 'signing') return stay(state);
  switch (result.kind) {
    case 'signed': {
      const shares = new Map(state.shares).set(result.index, result.signature);
      const next = combineFive({ ...state, shares });
      const share = message(config, 'share', result.signature);
      return { state: next.state, effects: [share, ...next.effects] };
    }
    case 'combined':
      return bear(config, state, result.signature, context);
    case 'uncombined':
      return dropWrong(config, state, result.wrong);
    case 'checked':
      if (result.valid) return bear(config, state, result.signature, context);
      return {
        state,
        effects: [{ kind: 'blame', fault: { kind: 'invalidSignature', culprit: result.from } }],
      };
    default:
      return assertNever(result);
  }
}

/** One event for the key generation, and what follows from it here. */
const stepDkg = (
  config: GenesisConfig,
  state: GenesisState,
  event: Event<Dkg>,
  context: Context,
): GenesisStep =>
  absorbDkg(config, state, dkg.step(dkgConfig(config), state.dkg, event, context), context);

/** One event for the agreement, and what follows from it here. */
function stepAgreement(
  config: GenesisConfig,
  state: GenesisState,
  event: Event<Agreement>,
  context: Context,
): GenesisStep {
  const child = agreement.step(agreementConfig(config), state.agreement, event, context);
  const { effects } = lift(child.effects, agreementLift(config));
  const next = { ...state, agreement: child.state };
  return after({ state: next, effects }, (now) => choose(config, now, context));
}

/** G6: keys that are ready are proposed; a share of the chosen one lets this founder sign. */
function absorbDkg(
  config: GenesisConfig,
  state: GenesisState,
  child: Step<DkgState, Dkg>,
  context: Context,
): GenesisStep {
  const { effects, outputs } = lift(child.effects, dkgLift);
  let step: GenesisStep = { state: { ...state, dkg: child.state }, effects };
  for (const output of outputs) {
    if (step.state.kind !== 'generating') continue;
    if (output.kind === 'ready') {
      const proposal = encodeReady(output.ready);
      const event = { kind: 'input', input: { kind: 'propose', proposal } } as const;
      step = after(step, (now) => stepAgreement(config, now, event, context));
    } else if (output.kind === 'share') {
      const { chosen } = step.state;
      if (chosen === null || !isSameList(config, chosen, output.list)) continue;
      step = after(step, (now) => sign(config, now, output.share));
    }
  }
  return step;
}

/** G6, N13: of the lists decided on the lowest hash counts; the key generation then finishes it. */
function choose(config: GenesisConfig, state: GenesisState, context: Context): GenesisStep {
  if (state.kind !== 'generating' || state.chosen !== null) return stay(state);
  const [chosen] = decidedLists(config, state.agreement);
  if (chosen === undefined) return stay(state);
  const event = { kind: 'input', input: { kind: 'finish', list: chosen } } as const;
  return stepDkg(config, { ...state, chosen }, event, context);
}

function decidedLists(config: GenesisConfig, state: AgreementState): readonly DealingList[] {
  if (state.kind === 'open' || state.decision === null) return [];
  return state.decision.proposals
    .map((proposal) => {
      const ready = decodeReady(proposal);
      assert(ready.ok, 'what was decided was validated');
      return ready.value.list;
    })
    .sort((a, b) => compareBytes(listHash(bindingOf(config), a), listHash(bindingOf(config), b)));
}

const isSameList = (config: GenesisConfig, a: DealingList, b: DealingList): boolean =>
  equalBytes(listHash(bindingOf(config), a), listHash(bindingOf(config), b));

/** G1: when the key is chosen, everybody builds the same authority and signs it. */
function sign(config: GenesisConfig, state: GenesisState, keys: KeyShareSet): GenesisStep {
  if (state.kind !== 'generating') return stay(state);
  const authority = genesisAuthority(config, keys);
  const { secretShare, index } = keys;
  const toSign = authoritySigningBytes(authority);
  const { dkg: inner, agreement: agreed, shares } = state;
  return {
    state: { kind: 'signing', dkg: inner, agreement: agreed, shares, keys, authority, busy: false },
    effects: [
      { kind: 'compute', id: 'sign', job: { kind: 'sign', secretShare, index, message: toSign } },
      gossipLater(config),
    ],
  };
}

/** G2: a share is kept as its sender's word; it is judged only when five do not combine. */
function takeShare(state: GenesisState, index: number, signature: Uint8Array): GenesisStep {
  if (state.kind === 'born' || state.shares.has(index)) return stay(state);
  const shares = new Map(state.shares).set(index, signature);
  if (state.kind === 'generating') return stay({ ...state, shares });
  return combineFive({ ...state, shares });
}

function combineFive(state: Signing): GenesisStep {
  if (state.busy || state.shares.size < SHARES_REQUIRED) return stay(state);
  const { authority } = state;
  const shares = [...state.shares.entries()]
    .sort(([a], [b]) => a - b)
    .slice(0, SHARES_REQUIRED)
    .map(([index, signature]) => ({ index, signature }));
  return {
    state: { ...state, busy: true },
    effects: [{ kind: 'compute', id: 'combine', job: { kind: 'combine', authority, shares } }],
  };
}

/** G2: wrong shares are dropped and blamed; their senders may still send right ones. */
function dropWrong(config: GenesisConfig, state: Signing, wrong: readonly number[]): GenesisStep {
  assert(wrong.length > 0, 'five right shares combine');
  const kept = [...state.shares.entries()].filter(([index]) => !wrong.includes(index));
  const next = combineFive({ ...state, shares: new Map(kept), busy: false });
  const blames = wrong.map((index): GenesisEffect => {
    const culprit = candidateIds(config)[index - 1];
    assert(culprit !== undefined, 'shares are kept by candidate');
    return { kind: 'blame', fault: { kind: 'invalidShare', culprit } };
  });
  return { state: next.state, effects: [...blames, ...next.effects] };
}

/** G3: the authority and the key share are on disk before anyone is told. */
function bear(
  config: GenesisConfig,
  state: Signing,
  signature: Uint8Array,
  context: Context,
): GenesisStep {
  const { authority, keys } = state;
  const born: Born = {
    signed: { authority, signature, chain: [] },
    secretShare: keys.secretShare,
    index: keys.index,
  };
  const step: GenesisStep = {
    state: { kind: 'born', dkg: state.dkg, agreement: state.agreement, born },
    effects: [
      { kind: 'persist', fact: { kind: 'born', ...born } },
      message(config, 'born', signature),
      { kind: 'clearTimer', timer: 'gossip' },
      { kind: 'output', output: { kind: 'born', ...born } },
    ],
  };
  return after(step, (now) => rest(config, now, context));
}

/** N18: what only the birth needed is forgotten; both machines go on answering. */
function rest(config: GenesisConfig, state: GenesisState, context: Context): GenesisStep {
  const closed = stepAgreement(config, state, { kind: 'input', input: { kind: 'close' } }, context);
  // The share is stored: the key generation has nothing to wait for, whatever it still lacks.
  return after(closed, (now) =>
    stepDkg(config, now, { kind: 'input', input: { kind: 'lost' } }, context),
  );
}

/** G4: a restart says again what was born; the caller must expect to hear it twice. */
function reborn(
  config: GenesisConfig,
  facts: readonly GenesisFact[],
  fact: GenesisFact & { readonly kind: 'born' },
  context: Context,
): GenesisStep {
  const { signed, secretShare, index } = fact;
  const born: Born = { signed, secretShare, index };
  // Their first words are for those who still need something: this founder does not.
  const inner = restore(config, facts, context);
  const step: GenesisStep = {
    state: { kind: 'born', dkg: inner.dkg.state, agreement: inner.agreement.state, born },
    effects: [{ kind: 'output', output: { kind: 'born', ...born } }],
  };
  return after(step, (now) => rest(config, now, context));
}

/** G5: the timer repeats the question to those whose share is missing, and decides nothing. */
function gossip(config: GenesisConfig, state: GenesisState): GenesisStep {
  if (state.kind !== 'signing') return stay(state);
  const missing = candidateIds(config).filter(
    (id, at) => id !== config.self && !state.shares.has(at + 1),
  );
  const ask: GenesisMessage = { kind: 'ask', sessionId: birthId(config) };
  return {
    state,
    effects: [{ kind: 'send', to: missing, message: ask }, gossipLater(config)],
  };
}

function answer(config: GenesisConfig, state: GenesisState, to: NodeId): GenesisStep {
  if (state.kind === 'born') {
    return { state, effects: [message(config, 'born', state.born.signed.signature, [to])] };
  }
  if (state.kind !== 'signing') return stay(state);
  const own = state.shares.get(state.keys.index);
  return own === undefined
    ? stay(state)
    : { state, effects: [message(config, 'share', own, [to])] };
}

const message = (
  config: GenesisConfig,
  kind: 'share' | 'born',
  signature: Uint8Array,
  to: readonly NodeId[] = candidateIds(config).filter((id) => id !== config.self),
): GenesisEffect => ({
  kind: 'send',
  to,
  message: { kind, sessionId: birthId(config), signature },
});

const gossipLater = (config: GenesisConfig): GenesisEffect => ({
  kind: 'setTimer',
  timer: 'gossip',
  afterMs: config.gossipEveryMs,
});

const candidateIds = (config: GenesisConfig): readonly NodeId[] =>
  sortedNames(config.candidates).map(nameToId);

/** 1…7; 0 for a stranger. */
const indexOf = (config: GenesisConfig, id: NodeId): number => candidateIds(config).indexOf(id) + 1;
