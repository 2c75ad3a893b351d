/** What other candidates hand over, judged (README: D3–D6). A carrier's first lie ends its message. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  bindingOf,
  blameOnce,
  firstByDealer,
  held,
  idOf,
  inTurn,
  isListed,
  isLongEnough,
  isSameList,
  setList,
  signedBy,
  withList,
  type Taken,
} from './common.ts';
import type { DkgMessage, Readiness, SignedDealing, SignedKey, SignedList } from './messages.ts';
import type { DkgConfig, Open } from './state.ts';
import { dealingBytes, keyBytes, readinessBytes, signedListBytes } from './transcript.ts';

export function takeMessage(
  config: DkgConfig,
  state: Open,
  from: NodeId,
  message: DkgMessage,
): Taken {
  switch (message.kind) {
    case 'status':
      return { state, effects: [] };
    case 'dealing':
      return takeDealing(config, state, from, message.dealing);
    case 'parts': {
      let honest = true;
      // Signatures cost two milliseconds each: a carrier of forged ones is heard once per message.
      const unlessForged =
        (take: (state: Open) => Taken) =>
        (current: Open): Taken => {
          if (!honest) return { state: current, effects: [] };
          const taken = take(current);
          honest = !taken.effects.some(
            (effect) => effect.kind === 'blame' && effect.fault.kind === 'invalidSignature',
          );
          return taken;
        };
      return inTurn(state, [
        ...message.keys.map((key) => unlessForged((s) => takeKey(config, s, from, key))),
        ...message.lists.map((list) => unlessForged((s) => takeList(config, s, from, list))),
        ...message.readiness.map((each) =>
          unlessForged((s) => takeReadiness(config, s, from, each)),
        ),
      ]);
    }
  }
}

const forged = (state: Open, culprit: NodeId, part: string): Taken => ({
  state,
  effects: [{ kind: 'blame', fault: { kind: 'invalidSignature', culprit, part } }],
});

function takeKey(config: DkgConfig, state: Open, from: NodeId, key: SignedKey): Taken {
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
  return learnKey(config, state, key);
}

/** C4: the first key counts here; a dealing may use another one its owner signed. */
export function learnKey(config: DkgConfig, state: Open, key: SignedKey): Taken {
  const known = state.keys.get(key.candidate);
  if (known === undefined) {
    return { state: { ...state, keys: new Map(state.keys).set(key.candidate, key) }, effects: [] };
  }
  if (equalBytes(known.sharingKey, key.sharingKey)) return { state, effects: [] };
  const culprit = idOf(config, key.candidate);
  return blameOnce(state, 'key', { kind: 'keyEquivocation', culprit, keys: [known, key] });
}

/** N13: one list per candidate; a second one is evidence. */
function takeList(config: DkgConfig, state: Open, from: NodeId, list: SignedList): Taken {
  const known = state.named.get(list.candidate);
  if (known !== undefined && isSameList(known.dealings, list.dealings)) {
    return { state, effects: [] };
  }
  const bytes = signedListBytes(bindingOf(config), list);
  if (!signedBy(config, list.candidate, bytes, list.signature)) return forged(state, from, 'list');
  const culprit = idOf(config, list.candidate);
  if (!isLongEnough(list.dealings)) {
    return blameOnce(state, 'invalidList', { kind: 'invalidList', culprit, list });
  }
  if (known !== undefined) {
    return blameOnce(state, 'list', { kind: 'listEquivocation', culprit, lists: [known, list] });
  }
  return {
    state: {
      ...state,
      named: new Map(state.named).set(list.candidate, list),
      lists: withList(config, state.lists, list.dealings, false),
    },
    effects: [],
  };
}

/** Kept as its author's word: shares are judged when five do not combine. */
function takeReadiness(config: DkgConfig, state: Open, from: NodeId, readiness: Readiness): Taken {
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
 * D4: the first dealing of a dealer is checked, and any that a list names; another one proves that
 * its dealer made two. One job per carrier, so that nobody can make this candidate only check.
 */
function takeDealing(config: DkgConfig, state: Open, from: NodeId, dealing: SignedDealing): Taken {
  const each = held(config, dealing);
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
        id: `verify/${from}`,
        job: { kind: 'verify', binding: bindingOf(config), candidates, fallbackKeys, dealing },
      },
    ],
  };
}
