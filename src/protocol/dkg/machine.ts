/**
 * Robust distributed key generation (DKG-D1–D12, N12–N18). Five of seven candidates suffice:
 * dealings are publicly verifiable, any candidate can propose a list of them, and each list has a
 * key.
 */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, Machine, NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { advance } from './advance.ts';
import {
  activeStep,
  bindingOf,
  candidateIds,
  scheduleGossip,
  toHeldDealing,
  isSameList,
  ownIndex,
  shareOutput,
  withList,
  type DkgEffect,
  type DkgStep,
  type ActiveDkgStep,
} from './common.ts';
import { sendMissing, requestMissing, isComplete, broadcastParts } from './gossip.ts';
import type { DkgMessage, SignedKey } from './messages.ts';
import { onJobResult } from './job-results.ts';
import type {
  Dkg,
  DkgConfig,
  DkgFact,
  DkgInput,
  DkgState,
  DkgPublicState,
  ActiveDkgState,
} from './state.ts';
import { receiveMessage } from './receive.ts';
import { keyBytes } from './transcript.ts';

export const dkg: Machine<DkgConfig, DkgState, Dkg> = {
  start: (config, facts, context) => {
    assert(config.candidates.length === ELDER_COUNT, 'seven candidates generate a key');
    assert(ownIndex(config) > 0, 'this node is a candidate');
    if (config.late === true) return requestMissing(config, lateState);
    return facts.length === 0 ? announceKey(config, context) : recover(config, facts, context);
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return input(config, state, event.input, context);
      case 'timerFired':
        return tick(config, state, context);
      case 'computed':
        if (state.kind === 'ended') return unchanged(state);
        return endIfShareKnown(
          config,
          andThen(
            activeStep(state),
            (s) => onJobResult(config, s, event.id, event.result),
            (s) => advance(config, s, context),
          ),
        );
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

/** DKG-D1: one session key, persisted before it is sent. */
function announceKey(config: DkgConfig, context: Context): DkgStep {
  const { dealings } = config.suites;
  const sharingSecret = dealings.toSharingSecret(
    hkdf(context.entropy, config.sessionId, 'safe/v1/dkg-sharing-secret', 32),
  );
  const unsigned = {
    candidate: ownIndex(config),
    sharingKey: dealings.sharingKey(sharingSecret),
  };
  const bytes = keyBytes(bindingOf(config), unsigned);
  const key = { ...unsigned, signature: config.suites.identity.sign(config.identitySeed, bytes) };
  return andThen(
    activeStep(initialState(sharingSecret, key), {
      kind: 'persist',
      fact: { kind: 'announced', sharingSecret, key },
    }),
    (s) => broadcastParts(config, s, { keys: [key] }),
    (s) => activeStep(s, scheduleGossip(config)),
  );
}

const emptyState: DkgPublicState = {
  keys: new Map(),
  dealings: new Map(),
  proposed: new Map(),
  lists: new Map(),
  sent: new Map(),
  tick: 0,
};

const initialState = (sharingSecret: Uint8Array, key: SignedKey): ActiveDkgState => ({
  kind: 'gathering',
  ...emptyState,
  keys: new Map([[key.candidate, key]]),
  sharingSecret,
  checking: new Map(),
  blamed: new Set(),
  quorumTick: null,
  selectedKey: null,
});

/**
 * State of a candidate that missed the session: it collects parts and contributes none, because it
 * may have lost the record of parts it signed before.
 */
const lateState: ActiveDkgState = {
  ...emptyState,
  kind: 'dealt',
  sharingSecret: new Uint8Array(32),
  checking: new Map(),
  blamed: new Set(),
  quorumTick: null,
  selectedKey: null,
};

/** DKG-D10: resends its own parts unchanged, and requests everything else. */
function recover(config: DkgConfig, facts: readonly DkgFact[], context: Context): DkgStep {
  if (facts.some(({ kind }) => kind === 'ended')) {
    const state = endedFromFacts(config, facts);
    return { state, effects: [{ kind: 'output', output: { kind: 'ended' } }] };
  }
  const [first] = facts;
  assert(first?.kind === 'announced', 'the first fact of a session is the announced key');
  let state = initialState(first.sharingSecret, first.key);
  for (const fact of facts) {
    const mine = fact.kind === 'accepted' && fact.dealing.dealer === ownIndex(config);
    state = { ...applyFact(config, state, fact), kind: mine ? 'dealt' : state.kind };
  }
  return andThen(
    activeStep(state),
    (s) => broadcastParts(config, s, { keys: [first.key] }),
    (s) => advance(config, s, context),
    (s) => requestMissing(config, s),
  );
}

function applyFact<State extends DkgPublicState>(
  config: DkgConfig,
  before: State,
  fact: DkgFact,
): State {
  switch (fact.kind) {
    case 'announced':
    case 'ended':
      return before;
    case 'accepted': {
      const each = toHeldDealing(config, fact.dealing);
      const keys = new Map(before.keys);
      for (const key of fact.dealing.keys) {
        if (key !== null && !keys.has(key.candidate)) keys.set(key.candidate, key);
      }
      return { ...before, keys, dealings: new Map(before.dealings).set(toHex(each.hash), each) };
    }
    case 'listProposed':
      return {
        ...before,
        proposed: new Map(before.proposed).set(fact.list.candidate, fact.list),
        lists: withList(config, before.lists, fact.list.dealings, false),
      };
    default:
      return assertNever(fact);
  }
}

/** DKG-D11: restores public parts only; the fact with the secret may already be destroyed. */
const endedFromFacts = (config: DkgConfig, facts: readonly DkgFact[]): DkgState =>
  ended(
    facts.reduce<DkgPublicState>((before, fact) => applyFact(config, before, fact), emptyState),
  );

function input(config: DkgConfig, state: DkgState, request: DkgInput, context: Context): DkgStep {
  if (state.kind === 'ended') return unchanged(state);
  switch (request.kind) {
    case 'finish': {
      const lists = withList(config, state.lists, request.list, true);
      const again = [...lists.values()].flatMap((list): DkgEffect[] =>
        list.stage.kind === 'derived' && isSameList(list.dealings, request.list)
          ? [shareOutput(config, state, list, list.stage.result)]
          : [],
      );
      if (again.length > 0) return { state: { ...state, lists }, effects: again };
      return andThen(
        activeStep({ ...state, lists }),
        (s) => advance(config, s, context),
        (s) => requestMissing(config, s),
      );
    }
    case 'selected':
      return endIfShareKnown(config, {
        state: { ...state, selectedKey: request.key },
        effects: [],
      });
    case 'notSelected':
      return endSession(state);
    default:
      return assertNever(request);
  }
}

/** DKG-D7: each tick requests missing parts, and lets later proposers act while no key is ready. */
function tick(config: DkgConfig, state: DkgState, context: Context): DkgStep {
  if (state.kind === 'ended' || isComplete(state)) return unchanged(state);
  return andThen(
    activeStep(state),
    (s) => requestMissing(config, s),
    (s) => advance(config, s, context),
  );
}

function receive(
  config: DkgConfig,
  state: DkgState,
  from: NodeId,
  message: DkgMessage,
  context: Context,
): DkgStep {
  // Messages of other sessions may be early or late, so they are no fault; others are ignored.
  if (!equalBytes(message.sessionId, config.sessionId)) return unchanged(state);
  if (!candidateIds(config).includes(from) || from === config.self) return unchanged(state);
  if (state.kind === 'ended') return sendMissing(config, state, from, message);
  return endIfShareKnown(
    config,
    andThen(
      activeStep(state),
      (s) => receiveMessage(config, s, from, message),
      (s) => advance(config, s, context),
      (s) => sendMissing(config, s, from, message),
    ),
  );
}

/**
 * DKG-D11, N18: ends once the share of the selected key was output, and drops the session's secrets.
 */
function endIfShareKnown(config: DkgConfig, step: ActiveDkgStep): DkgStep {
  const { selectedKey, lists } = step.state;
  if (selectedKey === null) return step;
  const isShareKnown = [...lists.values()].some(
    ({ stage }) => stage.kind === 'derived' && equalBytes(stage.result.key, selectedKey),
  );
  return isShareKnown ? andThen<DkgState, DkgEffect>(step, () => endSession(step.state)) : step;
}

const endSession = (state: ActiveDkgState): DkgStep => ({
  state: ended(state),
  effects: [
    { kind: 'persist', fact: { kind: 'ended' } },
    { kind: 'clearTimer', timer: 'gossip' },
    { kind: 'output', output: { kind: 'ended' } },
  ],
});

/** Keeps all public parts to answer requests, and drops the stages, which hold secret shares. */
const ended = ({
  keys,
  dealings,
  proposed,
  lists,
  sent,
  tick: ticks,
}: DkgPublicState): DkgState => ({
  kind: 'ended',
  keys,
  dealings,
  proposed,
  lists: new Map(
    [...lists].map(([id, list]) => [id, { ...list, stage: { kind: 'unusable' } as const }]),
  ),
  sent,
  tick: ticks,
});
