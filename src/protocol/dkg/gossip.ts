/** Anti-entropy: what this candidate says it holds, asks for, and answers (README: D7–D9). */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { maxHeldLists, maxWants } from './codec.ts';
import {
  candidateIds,
  firstByDealer,
  gossipLater,
  hasBit,
  inOrder,
  isAnyReady,
  others,
  ownIndex,
  send,
  toBits,
  type DkgEffect,
  type Taken,
} from './common.ts';
import type { DkgMessage, Holding, Readiness, SignedKey, SignedList, Want } from './messages.ts';
import type { DkgConfig, DkgState, Held, HeldDealing, Open } from './state.ts';

/** Of how many candidates dealings are wanted with one ask: each brings up to seven of 48 kB. */
const askedAtOnce = 2;

/** Everything this candidate can still be waiting for is here: it is silent until asked. */
export function isSettled(state: Open): boolean {
  const lists = [...state.lists.values()];
  return (
    state.kind === 'dealt' &&
    state.won === null &&
    isAnyReady(state) &&
    lists.every(({ wanted, stage }) => !wanted || isDone(stage.kind))
  );
}

const isDone = (stage: string): boolean => stage === 'derived' || stage === 'useless';

/** D7: "this is what I hold"; two candidates in turn are asked for dealings. */
export function ask(config: DkgConfig, state: Open): Taken {
  const next = { ...state, tick: state.tick + 1 };
  const peers = others(config);
  const first = (next.tick * askedAtOnce + ownIndex(config)) % peers.length;
  const asked = Array.from(
    { length: askedAtOnce },
    (_, at) => peers[(first + at) % peers.length] ?? '',
  );
  const wants = wantsOf(config, next);
  const { sessionId } = config;
  const holding = holdingOf(next);
  const status = (more: readonly Want[]): DkgMessage => ({
    kind: 'status',
    sessionId,
    holding,
    wants: more,
  });
  const rest = wants.length === 0 ? peers : peers.filter((id) => !asked.includes(id));
  return {
    state: next,
    effects: [
      ...(wants.length === 0 ? [] : [send(asked, status(wants))]),
      send(rest, status([])),
      gossipLater(config),
    ],
  };
}

/**
 * Any dealing of a dealer of whom nothing is held, and those that lists name. Both: a list may name
 * what was never made, and must not keep anybody from asking for what was.
 */
function wantsOf(config: DkgConfig, state: Open): readonly Want[] {
  const checking = [...state.checking.values()];
  const heard = new Set([
    ...firstByDealer(state).keys(),
    ...checking.map(({ dealing }) => dealing.dealer),
    ownIndex(config),
  ]);
  const wants = new Map<string, Want>();
  for (const [at, id] of candidateIds(config).entries()) {
    const dealer = at + 1;
    if (heard.has(dealer) || state.blamed.has(`dealing:${id}`)) continue;
    wants.set(String(dealer), { dealer, hash: null });
  }
  const known = new Set([...state.dealings.keys(), ...checking.map(({ hash }) => toHex(hash))]);
  const lists = [...state.lists.values()].sort((a, b) => Number(b.wanted) - Number(a.wanted));
  for (const { dealings, stage, wanted } of lists) {
    if (isDone(stage.kind) || (isAnyReady(state) && !wanted)) continue;
    for (const [at, hash] of dealings.entries()) {
      if (hash === null || known.has(toHex(hash))) continue;
      wants.set(toHex(hash), { dealer: at + 1, hash });
    }
  }
  return [...wants.values()].slice(0, maxWants);
}

export const holdingOf = (state: Held): Holding => ({
  tick: state.tick,
  keys: toBits(state.keys),
  lists: toBits(state.named),
  readiness: [...state.lists.values()].slice(0, maxHeldLists).map(({ hash, readiness, wrong }) => ({
    list: hash,
    candidates: toBits(new Set([...readiness.keys(), ...wrong])),
  })),
});

interface Parts {
  readonly keys: readonly SignedKey[];
  readonly lists: readonly SignedList[];
  readonly readiness: readonly Readiness[];
}

/** D8: exactly what the asker lacks, each thing once per ask of its. */
export function answer<State extends DkgState>(
  config: DkgConfig,
  state: State,
  to: NodeId,
  message: DkgMessage,
): { readonly state: State; readonly effects: readonly DkgEffect[] } {
  const { holding } = message;
  const before = state.sent.get(to);
  const already = before?.tick === holding.tick ? before.parts : new Set<string>();
  const parts: Parts = {
    keys: inOrder(state.keys).filter(
      (key) => !hasBit(holding.keys, key.candidate) && !already.has(idOfKey(key)),
    ),
    lists: inOrder(state.named).filter(
      (list) => !hasBit(holding.lists, list.candidate) && !already.has(idOfList(list)),
    ),
    readiness: lackedReadiness(state, holding).filter((each) => !already.has(idOfReadiness(each))),
  };
  const dealings = lackedDealings(state, message).filter((each) => !already.has(idOfDealing(each)));
  const sent = new Set([...already, ...idsOf(parts), ...dealings.map(idOfDealing)]);
  if (sent.size === already.size) return { state, effects: [] };
  const next = {
    ...state,
    sent: new Map(state.sent).set(to, { tick: holding.tick, parts: sent }),
  };
  const some = parts.keys.length + parts.lists.length + parts.readiness.length > 0;
  return {
    state: next,
    effects: [
      ...(some ? [sendParts(config, next, parts, [to])] : []),
      ...dealings.map((each) => sendDealing(config, next, each, [to])),
    ],
  };
}

const lackedReadiness = (state: Held, holding: Holding): readonly Readiness[] =>
  [...state.lists.values()].slice(0, maxHeldLists).flatMap(({ hash, readiness }) => {
    const theirs = holding.readiness.find(({ list }) => equalBytes(list, hash));
    return inOrder(readiness).filter(
      ({ candidate }) => !hasBit(theirs?.candidates ?? 0, candidate),
    );
  });

function lackedDealings(state: Held, message: DkgMessage): readonly HeldDealing[] {
  if (message.kind !== 'status') return [];
  const first = firstByDealer(state);
  const found = message.wants.flatMap(({ dealer, hash }) => {
    const each = hash === null ? first.get(dealer) : state.dealings.get(toHex(hash));
    return each === undefined ? [] : [each];
  });
  return [...new Set(found)];
}

/** News for all: what they were sent with it is not sent again as an answer. */
export function tell(config: DkgConfig, state: Open, parts: Partial<Parts>): Taken {
  const all = { ...nothing, ...parts };
  const next = markSent(config, state, idsOf(all));
  return { state: next, effects: [sendParts(config, next, all, others(config))] };
}

export function tellDealing(config: DkgConfig, state: Open, dealing: HeldDealing): Taken {
  const next = markSent(config, state, [idOfDealing(dealing)]);
  return { state: next, effects: [sendDealing(config, next, dealing, others(config))] };
}

function markSent(config: DkgConfig, state: Open, ids: readonly string[]): Open {
  const sent = new Map(state.sent);
  for (const id of others(config)) {
    const before = sent.get(id);
    if (before !== undefined) {
      sent.set(id, { tick: before.tick, parts: new Set([...before.parts, ...ids]) });
    }
  }
  return { ...state, sent };
}

const nothing: Parts = { keys: [], lists: [], readiness: [] };

const sendParts = (
  { sessionId }: DkgConfig,
  state: Held,
  parts: Parts,
  to: readonly NodeId[],
): DkgEffect => send(to, { kind: 'parts', sessionId, holding: holdingOf(state), ...parts });

const sendDealing = (
  { sessionId }: DkgConfig,
  state: Held,
  { dealing }: HeldDealing,
  to: readonly NodeId[],
): DkgEffect => send(to, { kind: 'dealing', sessionId, holding: holdingOf(state), dealing });

const idsOf = ({ keys, lists, readiness }: Parts): readonly string[] => [
  ...keys.map(idOfKey),
  ...lists.map(idOfList),
  ...readiness.map(idOfReadiness),
];

const idOfKey = ({ candidate }: SignedKey): string => `key:${candidate}`;
const idOfList = ({ candidate }: SignedList): string => `list:${candidate}`;
const idOfReadiness = ({ list, candidate }: Readiness): string =>
  `readiness:${toHex(list)}:${candidate}`;
const idOfDealing = ({ hash }: HeldDealing): string => `dealing:${toHex(hash)}`;
