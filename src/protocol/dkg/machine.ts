/**
 * Robust distributed key generation (README: D1–D12, N12–N18). Five of seven candidates are enough:
 * dealings anybody can check, lists of them that anybody can name, and a key for every list.
 */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { stay, type Context, type Machine, type NodeId } from '#core/machine.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { advance } from './advance.ts';
import {
  bindingOf,
  candidateIds,
  gossipLater,
  held,
  inTurn,
  isSameList,
  ownIndex,
  shareOutput,
  withList,
  type DkgEffect,
  type DkgStep,
  type Taken,
} from './common.ts';
import { answer, ask, isSettled, tell } from './gossip.ts';
import type { DkgMessage, SignedKey } from './messages.ts';
import { computed } from './results.ts';
import type { Dkg, DkgConfig, DkgFact, DkgInput, DkgState, Held, Open } from './state.ts';
import { takeMessage } from './take.ts';
import { keyBytes } from './transcript.ts';

export const dkg: Machine<DkgConfig, DkgState, Dkg> = {
  start: (config, facts, context) => {
    assert(config.candidates.length === ELDER_COUNT, 'seven candidates generate a key');
    assert(ownIndex(config) > 0, 'this node is a candidate');
    if (config.late === true) return ask(config, lateState);
    return facts.length === 0 ? announce(config, context) : recover(config, facts, context);
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return input(config, state, event.input, context);
      case 'timerFired':
        return tick(config, state, context);
      case 'computed':
        if (state.kind === 'ended') return stay(state);
        return settle(
          config,
          inTurn(state, [
            (s) => computed(config, s, event.id, event.result),
            (s) => advance(config, s, context),
          ]),
        );
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

/** D1: one session key, on disk before anyone seals to it. */
function announce(config: DkgConfig, context: Context): DkgStep {
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
  const told = tell(config, beginning(sharingSecret, key), { keys: [key] });
  return {
    state: told.state,
    effects: [
      { kind: 'persist', fact: { kind: 'announced', sharingSecret, key } },
      ...told.effects,
      gossipLater(config),
    ],
  };
}

const nothingHeld: Held = {
  keys: new Map(),
  dealings: new Map(),
  named: new Map(),
  lists: new Map(),
  sent: new Map(),
  tick: 0,
};

const beginning = (sharingSecret: Uint8Array, key: SignedKey): Open => ({
  kind: 'gathering',
  ...nothingHeld,
  keys: new Map([[key.candidate, key]]),
  sharingSecret,
  checking: new Map(),
  blamed: new Set(),
  fiveAt: null,
  won: null,
});

/**
 * For who was away while the others made the key: it takes what they hold and adds nothing, for of
 * what it may have said before it knows nothing either.
 */
const lateState: Open = {
  ...nothingHeld,
  kind: 'dealt',
  sharingSecret: new Uint8Array(32),
  checking: new Map(),
  blamed: new Set(),
  fiveAt: null,
  won: null,
};

/** D10: what was said before is said again; everything else is asked of the others. */
function recover(config: DkgConfig, facts: readonly DkgFact[], context: Context): DkgStep {
  if (facts.some(({ kind }) => kind === 'ended')) {
    const state = recallEnded(config, facts);
    return { state, effects: [{ kind: 'output', output: { kind: 'ended' } }] };
  }
  const [first] = facts;
  assert(first?.kind === 'announced', 'the first fact of a session is the announced key');
  let state = beginning(first.sharingSecret, first.key);
  for (const fact of facts) {
    const mine = fact.kind === 'accepted' && fact.dealing.dealer === ownIndex(config);
    state = { ...recall(config, state, fact), kind: mine ? 'dealt' : state.kind };
  }
  return inTurn(state, [
    (s) => tell(config, s, { keys: [first.key] }),
    (s) => advance(config, s, context),
    (s) => ask(config, s),
  ]);
}

function recall<State extends Held>(config: DkgConfig, before: State, fact: DkgFact): State {
  switch (fact.kind) {
    case 'announced':
    case 'ended':
      return before;
    case 'accepted': {
      const each = held(config, fact.dealing);
      const keys = new Map(before.keys);
      for (const key of fact.dealing.keys) {
        if (key !== null && !keys.has(key.candidate)) keys.set(key.candidate, key);
      }
      return { ...before, keys, dealings: new Map(before.dealings).set(toHex(each.hash), each) };
    }
    case 'named':
      return {
        ...before,
        named: new Map(before.named).set(fact.list.candidate, fact.list),
        lists: withList(config, before.lists, fact.list.dealings, false),
      };
    default:
      return assertNever(fact);
  }
}

/** D11: what is public stays; the secret's fact may be gone from the disk by now. */
const recallEnded = (config: DkgConfig, facts: readonly DkgFact[]): DkgState =>
  ended(facts.reduce<Held>((before, fact) => recall(config, before, fact), nothingHeld));

function input(config: DkgConfig, state: DkgState, asked: DkgInput, context: Context): DkgStep {
  if (state.kind === 'ended') return stay(state);
  switch (asked.kind) {
    case 'finish': {
      const lists = withList(config, state.lists, asked.list, true);
      const again = [...lists.values()].flatMap((list): DkgEffect[] =>
        list.stage.kind === 'derived' && isSameList(list.dealings, asked.list)
          ? [shareOutput(config, state, list, list.stage.result)]
          : [],
      );
      if (again.length > 0) return { state: { ...state, lists }, effects: again };
      return inTurn({ ...state, lists }, [
        (s) => advance(config, s, context),
        (s) => ask(config, s),
      ]);
    }
    case 'won':
      return settle(config, { state: { ...state, won: asked.key }, effects: [] });
    case 'lost':
      return end(state, []);
    default:
      return assertNever(asked);
  }
}

/** D7: the tick asks again, and lets others name when nothing became ready. */
function tick(config: DkgConfig, state: DkgState, context: Context): DkgStep {
  if (state.kind === 'ended' || isSettled(state)) return stay(state);
  return inTurn(state, [(s) => ask(config, s), (s) => advance(config, s, context)]);
}

function receive(
  config: DkgConfig,
  state: DkgState,
  from: NodeId,
  message: DkgMessage,
  context: Context,
): DkgStep {
  // A message of another session is late or early, not a lie; a stranger's is nothing to us.
  if (!equalBytes(message.sessionId, config.sessionId)) return stay(state);
  if (!candidateIds(config).includes(from) || from === config.self) return stay(state);
  if (state.kind === 'ended') return answer(config, state, from, message);
  return settle(
    config,
    inTurn(state, [
      (s) => takeMessage(config, s, from, message),
      (s) => advance(config, s, context),
      (s) => answer(config, s, from, message),
    ]),
  );
}

/** D11, N18: when the key that won has its share out, the session's secrets go. */
function settle(config: DkgConfig, { state, effects }: Taken): DkgStep {
  const { won } = state;
  if (won === null) return { state, effects };
  const out = [...state.lists.values()].some(
    ({ stage }) => stage.kind === 'derived' && equalBytes(stage.result.key, won),
  );
  return out ? end(state, effects) : { state, effects };
}

const end = (state: Open, effects: readonly DkgEffect[]): DkgStep => ({
  state: ended(state),
  effects: [
    ...effects,
    { kind: 'persist', fact: { kind: 'ended' } },
    { kind: 'clearTimer', timer: 'gossip' },
    { kind: 'output', output: { kind: 'ended' } },
  ],
});

/** Everything public stays: others may still ask. Shares go with the stages that held them. */
const ended = ({ keys, dealings, named, lists, sent, tick: asks }: Held): DkgState => ({
  kind: 'ended',
  keys,
  dealings,
  named,
  lists: new Map(
    [...lists].map(([id, list]) => [id, { ...list, stage: { kind: 'useless' } as const }]),
  ),
  sent,
  tick: asks,
});
