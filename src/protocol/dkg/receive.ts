/** Verifies parts from other candidates (DKG-D3–D6); a forged part ends its message. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import {
  activeStep,
  bindingOf,
  blameOnce,
  firstByDealer,
  toHeldDealing,
  idOf,
  isListed,
  hasQuorum,
  isSameList,
  setList,
  signedBy,
  withList,
  type ActiveDkgStep,
} from './common.ts';
import type {
  DkgMessage,
  SignedReadiness,
  SignedDealing,
  SignedKey,
  ProposedList,
} from './messages.ts';
import type { DkgConfig, ActiveDkgState } from './state.ts';
import { dealingBytes, keyBytes, readinessBytes, proposedListBytes } from './transcript.ts';

export function receiveMessage(
  config: DkgConfig,
  state: ActiveDkgState,
  from: NodeId,
  message: DkgMessage,
): ActiveDkgStep {
  switch (message.kind) {
    case 'status':
      return { state, effects: [] };
    case 'dealing':
      return receiveDealing(config, state, from, message.dealing);
    case 'parts': {
      let honest = true;
      // A signature check costs 2 ms: after one forged part the rest of the message is dropped.
      const unlessForged =
        (receivePart: (state: ActiveDkgState) => ActiveDkgStep) =>
        (current: ActiveDkgState): ActiveDkgStep => {
          if (!honest) return { state: current, effects: [] };
          const received = receivePart(current);
          honest = !received.effects.some(
            (effect) => effect.kind === 'blame' && effect.fault.kind === 'invalidSignature',
          );
          return received;
        };
      return andThen(
        activeStep(state),
        ...message.keys.map((key) => unlessForged((s) => receiveKey(config, s, from, key))),
        ...message.lists.map((list) => unlessForged((s) => receiveList(config, s, from, list))),
        ...message.readiness.map((each) =>
          unlessForged((s) => receiveReadiness(config, s, from, each)),
        ),
      );
    }
  }
}

const forged = (state: ActiveDkgState, culprit: NodeId, part: string): ActiveDkgStep => ({
  state,
  effects: [{ kind: 'blame', fault: { kind: 'invalidSignature', culprit, part } }],
});

function receiveKey(
  config: DkgConfig,
  state: ActiveDkgState,
  from: NodeId,
  key: SignedKey,
): ActiveDkgStep {
  const known = state.keys.get(key.candidate);
  if (known !== undefined && equalBytes(known.sharingKey, key.sharingKey)) {
    return { state, effects: [] };
  }
  if (!signedBy(config, key.candidate, keyBytes(bindingOf(config), key), key.signature)) {
    return forged(state, from, 'key');
  }
  const culprit = idOf(config, key.candidate);
  if (!config.suites.dealings.isSharingKey(key.sharingKey)) {
    return blameOnce(state, 'invalidKey', { kind: 'invalidKey', culprit, key });
  }
  return addSessionKey(config, state, key);
}

/** TRACE-C4: keeps the first key; a dealing may use another one its owner signed. */
export function addSessionKey(
  config: DkgConfig,
  state: ActiveDkgState,
  key: SignedKey,
): ActiveDkgStep {
  const known = state.keys.get(key.candidate);
  if (known === undefined) {
    return { state: { ...state, keys: new Map(state.keys).set(key.candidate, key) }, effects: [] };
  }
  if (equalBytes(known.sharingKey, key.sharingKey)) return { state, effects: [] };
  const culprit = idOf(config, key.candidate);
  return blameOnce(state, 'key', { kind: 'keyEquivocation', culprit, keys: [known, key] });
}

/** N13: one list per candidate; a second one is evidence of equivocation. */
function receiveList(
  config: DkgConfig,
  state: ActiveDkgState,
  from: NodeId,
  list: ProposedList,
): ActiveDkgStep {
  const known = state.proposed.get(list.candidate);
  if (known !== undefined && isSameList(known.dealings, list.dealings)) {
    return { state, effects: [] };
  }
  const bytes = proposedListBytes(bindingOf(config), list);
  if (!signedBy(config, list.candidate, bytes, list.signature)) return forged(state, from, 'list');
  const culprit = idOf(config, list.candidate);
  if (!hasQuorum(list.dealings)) {
    return blameOnce(state, 'invalidList', { kind: 'invalidList', culprit, list });
  }
  if (known !== undefined) {
    return blameOnce(state, 'list', { kind: 'listEquivocation', culprit, lists: [known, list] });
  }
  return {
    state: {
      ...state,
      proposed: new Map(state.proposed).set(list.candidate, list),
      lists: withList(config, state.lists, list.dealings, false),
    },
    effects: [],
  };
}

/** Verifies only the author's signature; shares are checked when five do not combine. */
function receiveReadiness(
  config: DkgConfig,
  state: ActiveDkgState,
  from: NodeId,
  readiness: SignedReadiness,
): ActiveDkgStep {
  const { candidate } = readiness;
  const list = state.lists.get(toHex(readiness.list));
  if (list === undefined || list.readiness.has(candidate) || list.wrong.has(candidate)) {
    return { state, effects: [] };
  }
  const bytes = readinessBytes(bindingOf(config), readiness);
  if (!signedBy(config, candidate, bytes, readiness.signature)) {
    return forged(state, from, 'readiness');
  }
  const more = new Map(list.readiness).set(candidate, readiness);
  return { state: setList(state, { ...list, readiness: more }), effects: [] };
}

/**
 * DKG-D4: verifies the first dealing of a dealer, and any in a list; another one is evidence of
 * equivocation. One job per carrier bounds the work a peer can cause.
 */
function receiveDealing(
  config: DkgConfig,
  state: ActiveDkgState,
  from: NodeId,
  dealing: SignedDealing,
): ActiveDkgStep {
  const each = toHeldDealing(config, dealing);
  const id = toHex(each.hash);
  const checking = [...state.checking.values()];
  if (state.dealings.has(id) || checking.some(({ hash }) => toHex(hash) === id)) {
    return { state, effects: [] };
  }
  const { dealer } = dealing;
  const culprit = idOf(config, dealer);
  if (!isListed(state, each.hash)) {
    const first = firstByDealer(state).get(dealer);
    if (first !== undefined) {
      const bytes = dealingBytes(bindingOf(config), dealing);
      if (!signedBy(config, dealer, bytes, dealing.signature)) {
        return forged(state, from, 'dealing');
      }
      const dealings = [first.dealing, dealing] as const;
      return blameOnce(state, 'twoDealings', { kind: 'dealingEquivocation', culprit, dealings });
    }
    if (state.blamed.has(`dealing:${culprit}`)) return { state, effects: [] };
  }
  if (state.checking.has(from)) return { state, effects: [] };
  const { candidates, fallbackKeys } = config;
  return {
    state: { ...state, checking: new Map(state.checking).set(from, each) },
    effects: [
      {
        kind: 'compute',
        id: { kind: 'verify', from },
        job: { kind: 'verify', binding: bindingOf(config), candidates, fallbackKeys, dealing },
      },
    ],
  };
}
