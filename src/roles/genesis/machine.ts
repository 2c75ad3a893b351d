/**
 * Creates a network: seven founders generate a key, agree on it and sign the first section authority
 * with it (GENESIS-G1–G6). Runs two inner machines, the key generation and the agreement, then signs.
 */
import { nameToId } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { compareBytes, equalBytes } from '#core/codec/bytes.ts';
import { lift } from '#core/lift-effects.ts';
import {
  resultOf,
  type Context,
  type Effect,
  type Event,
  type Machine,
  type NodeId,
  type Step,
} from '#core/machine.ts';
import { andThen, stepTo, unchanged } from '#core/step.ts';
import {
  agreement,
  type Agreement,
  type AgreementFact,
  type AgreementState,
} from '#protocol/agreement/index.ts';
import {
  decodeReadinessProof,
  dkg,
  encodeReadinessProof,
  listHash,
  sortedNames,
  type DealingList,
  type Dkg,
  type DkgState,
  type KeyShareSet,
} from '#protocol/dkg/index.ts';
import {
  authoritySigningBytes,
  blameBadShares,
  combineDue,
  createThresholdCollector,
  hasShareOf,
  withShare,
  afterFailedCombine,
  type ThresholdCollector,
} from '#protocol/section/index.ts';
import { genesisAttemptId, genesisAuthority } from './genesis-authority.ts';
import {
  genesisAgreementConfig,
  agreementLift,
  genesisBinding,
  genesisDkgConfig,
  dkgLift,
} from './inner-machines.ts';
import type { GenesisMessage } from './messages.ts';
import type {
  GenesisOutcome,
  Genesis,
  GenesisConfig,
  GenesisFact,
  GenesisResult,
  GenesisState,
  GenesisJobId,
} from './state.ts';

type GenesisStep = Step<GenesisState, Genesis>;
type GenesisEffect = Effect<Genesis>;
const genesisStep: (state: GenesisState, ...effects: readonly GenesisEffect[]) => GenesisStep =
  stepTo;
type Signing = GenesisState & { readonly kind: 'signing' };

export const genesis: Machine<GenesisConfig, GenesisState, Genesis> = {
  start: (config, facts, context) => {
    const completed = facts.find((fact) => fact.kind === 'complete');
    if (completed !== undefined) return restoreOutcome(config, facts, completed, context);
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
    return andThen(
      begun,
      (state) => absorbDkg(config, state, inner.dkg, context),
      (state) => chooseList(config, state, context),
    );
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return unchanged(state);
      case 'timerFired':
        return onTimer(config, state, event.timer, context);
      case 'computed':
        return computed(config, state, event.id, event.result, context);
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

function onTimer(
  config: GenesisConfig,
  state: GenesisState,
  timer: Genesis['timer'],
  context: Context,
): GenesisStep {
  switch (timer.kind) {
    case 'gossip':
      return gossip(config, state);
    case 'dkg':
      return stepDkg(config, state, { kind: 'timerFired', timer: 'gossip' }, context);
    case 'agreement': {
      const event = { kind: 'timerFired', timer: timer.timer } as const;
      return stepAgreement(config, state, event, context);
    }
    default:
      return assertNever(timer);
  }
}

const restore = (config: GenesisConfig, facts: readonly GenesisFact[], context: Context) => ({
  dkg: dkg.start(
    genesisDkgConfig(config),
    facts.flatMap((fact) => (fact.kind === 'dkg' ? [fact.fact] : [])),
    context,
  ),
  agreement: agreement.start(
    genesisAgreementConfig(config),
    facts.flatMap((fact): AgreementFact[] => (fact.kind === 'agreement' ? [fact.fact] : [])),
    context,
  ),
});

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
  if (index === 0 || from === config.self) return unchanged(state);
  if (message.kind === 'agreement') {
    const event = { kind: 'received', from, message: message.message } as const;
    return stepAgreement(config, state, event, context);
  }
  if (!equalBytes(message.sessionId, genesisAttemptId(config))) return unchanged(state);
  switch (message.kind) {
    case 'share':
      return onShare(state, index, message.signature);
    case 'request':
      return answerRequest(config, state, from);
    case 'complete': {
      if (state.kind !== 'signing') return unchanged(state);
      const { authority } = state;
      const job = { kind: 'check', authority, signature: message.signature, from } as const;
      return { state, effects: [{ kind: 'compute', id: { kind: 'check', from }, job }] };
    }
    default:
      return assertNever(message);
  }
}

function computed(
  config: GenesisConfig,
  state: GenesisState,
  id: GenesisJobId,
  result: GenesisResult,
  context: Context,
): GenesisStep {
  if (id.kind === 'dkg') {
    const inner = { kind: 'computed', id: id.id, result: resultOf(result, 'dkg').result } as const;
    return stepDkg(config, state, inner, context);
  }
  if (id.kind === 'agreement') {
    const { result: verdict } = resultOf(result, 'validated');
    return stepAgreement(config, state, { kind: 'computed', id: id.id, result: verdict }, context);
  }
  if (state.kind !== 'signing') return unchanged(state);
  switch (id.kind) {
    case 'sign': {
      const { index, signature } = resultOf(result, 'signed');
      return andThen(genesisStep(state, message(config, 'share', signature)), (now) =>
        onShare(now, index, signature),
      );
    }
    case 'combine': {
      const combined = resultOf(result, 'combined', 'combineFailed');
      return combined.kind === 'combined'
        ? completeGenesis(config, state, combined.signature, context)
        : dropWrongShares(state, combined.wrong);
    }
    case 'check': {
      const { valid, signature } = resultOf(result, 'checked');
      if (valid) return completeGenesis(config, state, signature, context);
      const fault = { kind: 'invalidSignature', culprit: id.from } as const;
      return genesisStep(state, { kind: 'blame', fault });
    }
    default:
      return assertNever(id);
  }
}

/** Feeds one event to the key generation, then acts on its outputs. */
const stepDkg = (
  config: GenesisConfig,
  state: GenesisState,
  event: Event<Dkg>,
  context: Context,
): GenesisStep =>
  absorbDkg(config, state, dkg.step(genesisDkgConfig(config), state.dkg, event, context), context);

/** Feeds one event to the agreement, then checks whether it chose a list. */
function stepAgreement(
  config: GenesisConfig,
  state: GenesisState,
  event: Event<Agreement>,
  context: Context,
): GenesisStep {
  const child = agreement.step(genesisAgreementConfig(config), state.agreement, event, context);
  const { effects } = lift(child.effects, agreementLift(config));
  return andThen(genesisStep({ ...state, agreement: child.state }, ...effects), (now) =>
    chooseList(config, now, context),
  );
}

/** GENESIS-G6: proposes each ready key; a share of the chosen key lets this founder sign. */
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
      const proposal = encodeReadinessProof(output.ready);
      const event = { kind: 'input', input: { kind: 'propose', proposal } } as const;
      step = andThen(step, (now) => stepAgreement(config, now, event, context));
    } else if (output.kind === 'share') {
      const { chosen } = step.state;
      if (chosen === null || !isSameList(config, chosen, output.list)) continue;
      step = andThen(step, (now) => signAuthority(config, now, output.share));
    }
  }
  return step;
}

/** GENESIS-G6, N13: chooses the decided list with the lowest hash; the key generation then completes it. */
function chooseList(config: GenesisConfig, state: GenesisState, context: Context): GenesisStep {
  if (state.kind !== 'generating' || state.chosen !== null) return unchanged(state);
  const [chosen] = decidedLists(config, state.agreement);
  if (chosen === undefined) return unchanged(state);
  const event = { kind: 'input', input: { kind: 'finish', list: chosen } } as const;
  return stepDkg(config, { ...state, chosen }, event, context);
}

function decidedLists(config: GenesisConfig, state: AgreementState): readonly DealingList[] {
  if (state.kind === 'open' || state.decision === null) return [];
  return state.decision.proposals
    .map((proposal) => {
      const ready = decodeReadinessProof(proposal);
      assert(ready.ok, 'decided proposals were validated');
      return ready.value.list;
    })
    .sort((a, b) =>
      compareBytes(listHash(genesisBinding(config), a), listHash(genesisBinding(config), b)),
    );
}

const isSameList = (config: GenesisConfig, a: DealingList, b: DealingList): boolean =>
  equalBytes(listHash(genesisBinding(config), a), listHash(genesisBinding(config), b));

/** GENESIS-G1: once the key is chosen, every founder computes the same authority and signs it. */
function signAuthority(config: GenesisConfig, state: GenesisState, keys: KeyShareSet): GenesisStep {
  if (state.kind !== 'generating') return unchanged(state);
  const authority = genesisAuthority(config, keys);
  const { secretShare, index } = keys;
  const toSign = authoritySigningBytes(authority);
  const collector = createThresholdCollector('AUTHORITY', toSign, state.shares);
  const { dkg: inner, agreement: agreed } = state;
  return {
    state: { kind: 'signing', dkg: inner, agreement: agreed, keys, authority, collector },
    effects: [
      {
        kind: 'compute',
        id: { kind: 'sign' },
        job: { kind: 'sign', secretShare, index, message: toSign },
      },
      gossipLater(config),
    ],
  };
}

/** GENESIS-G2: a share is stored unverified; it is verified only if five do not combine. */
function onShare(state: GenesisState, index: number, signature: Uint8Array): GenesisStep {
  if (state.kind === 'complete') return unchanged(state);
  if (state.kind === 'signing') return collect(state, withShare(state.collector, index, signature));
  if (state.shares.has(index)) return unchanged(state);
  return unchanged({ ...state, shares: new Map(state.shares).set(index, signature) });
}

const collect = (state: Signing, collector: ThresholdCollector): GenesisStep =>
  combineDue(collector, state.authority, { kind: 'combine' }, (kept) => ({
    ...state,
    collector: kept,
  }));

/** GENESIS-G2: invalid shares are dropped and blamed. */
const dropWrongShares = (state: Signing, wrong: readonly number[]): GenesisStep =>
  andThen(genesisStep(state, ...blameBadShares(state.authority.elders, wrong)), () =>
    collect(state, afterFailedCombine(state.collector, wrong)),
  );

/** GENESIS-G3: persists authority and key share before any message about them. */
function completeGenesis(
  config: GenesisConfig,
  state: Signing,
  signature: Uint8Array,
  context: Context,
): GenesisStep {
  const { authority, keys } = state;
  const outcome: GenesisOutcome = {
    signed: { authority, signature, chain: [] },
    secretShare: keys.secretShare,
    index: keys.index,
  };
  const step: GenesisStep = {
    state: { kind: 'complete', dkg: state.dkg, agreement: state.agreement, outcome },
    effects: [
      { kind: 'persist', fact: { kind: 'complete', ...outcome } },
      message(config, 'complete', signature),
      { kind: 'clearTimer', timer: { kind: 'gossip' } },
      { kind: 'output', output: { kind: 'complete', ...outcome } },
    ],
  };
  return andThen(step, (now) => closeInnerMachines(config, now, context));
}

/** N18: erases what only genesis needed; both machines keep answering. */
function closeInnerMachines(
  config: GenesisConfig,
  state: GenesisState,
  context: Context,
): GenesisStep {
  return andThen(
    stepAgreement(config, state, { kind: 'input', input: { kind: 'close' } }, context),
    // The share is stored, so the key generation can end even if it still lacks messages.
    (now) => stepDkg(config, now, { kind: 'input', input: { kind: 'notSelected' } }, context),
  );
}

/** GENESIS-G4: outputs `complete` again after a restart; callers must accept it twice. */
function restoreOutcome(
  config: GenesisConfig,
  facts: readonly GenesisFact[],
  fact: GenesisFact & { readonly kind: 'complete' },
  context: Context,
): GenesisStep {
  const { signed, secretShare, index } = fact;
  const outcome: GenesisOutcome = { signed, secretShare, index };
  // Drops the effects of the inner starts: this founder needs nothing from the others.
  const inner = restore(config, facts, context);
  const step: GenesisStep = {
    state: { kind: 'complete', dkg: inner.dkg.state, agreement: inner.agreement.state, outcome },
    effects: [{ kind: 'output', output: { kind: 'complete', ...outcome } }],
  };
  return andThen(step, (now) => closeInnerMachines(config, now, context));
}

/** GENESIS-G5: the timer repeats the request to founders whose share is missing. It decides nothing. */
function gossip(config: GenesisConfig, state: GenesisState): GenesisStep {
  if (state.kind !== 'signing') return unchanged(state);
  const missing = candidateIds(config).filter(
    (id, at) => id !== config.self && !hasShareOf(state.collector, at + 1),
  );
  const request: GenesisMessage = { kind: 'request', sessionId: genesisAttemptId(config) };
  return {
    state,
    effects: [{ kind: 'send', to: missing, message: request }, gossipLater(config)],
  };
}

function answerRequest(config: GenesisConfig, state: GenesisState, to: NodeId): GenesisStep {
  if (state.kind === 'complete') {
    return { state, effects: [message(config, 'complete', state.outcome.signed.signature, [to])] };
  }
  if (state.kind !== 'signing') return unchanged(state);
  const own = state.collector.shares.get(state.keys.index);
  return own === undefined
    ? unchanged(state)
    : { state, effects: [message(config, 'share', own, [to])] };
}

const message = (
  config: GenesisConfig,
  kind: 'share' | 'complete',
  signature: Uint8Array,
  to: readonly NodeId[] = candidateIds(config).filter((id) => id !== config.self),
): GenesisEffect => ({
  kind: 'send',
  to,
  message: { kind, sessionId: genesisAttemptId(config), signature },
});

const gossipLater = (config: GenesisConfig): GenesisEffect => ({
  kind: 'setTimer',
  timer: { kind: 'gossip' },
  afterMs: config.gossipEveryMs,
});

const candidateIds = (config: GenesisConfig): readonly NodeId[] =>
  sortedNames(config.candidates).map(nameToId);

/** 1…7; 0 if the node is no founder. */
const indexOf = (config: GenesisConfig, id: NodeId): number => candidateIds(config).indexOf(id) + 1;
