/** Anti-entropy: sends inventories, requests missing parts and answers requests (DKG-D7–D9). */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { maxHeldLists, maxWants } from './codec.ts';
import {
  candidateIds,
  firstByDealer,
  scheduleGossip,
  hasBit,
  sortByCandidate,
  hasReadyKey,
  otherCandidates,
  ownIndex,
  send,
  toBits,
  type DkgEffect,
  type ActiveDkgStep,
} from './common.ts';
import type {
  DkgMessage,
  DkgInventory,
  SignedReadiness,
  SignedKey,
  ProposedList,
  Want,
} from './messages.ts';
import type {
  DkgConfig,
  DkgState,
  DkgPublicState,
  HeldDealing,
  HeldList,
  ActiveDkgState,
} from './state.ts';

/** Candidates asked for dealings per tick: each may send up to seven of 48 kB. */
const peersAskedPerTick = 2;

/** Nothing is missing: this candidate only answers from now on. */
export function isComplete(state: ActiveDkgState): boolean {
  const lists = [...state.lists.values()];
  return (
    state.kind === 'dealt' &&
    state.selectedKey === null &&
    hasReadyKey(state) &&
    lists.every(({ wanted, stage }) => !wanted || isDone(stage.kind))
  );
}

const isDone = (stage: HeldList['stage']['kind']): boolean =>
  stage === 'derived' || stage === 'unusable';

/** DKG-D7: sends the inventory to all, and requests dealings from two candidates in turn. */
export function requestMissing(config: DkgConfig, state: ActiveDkgState): ActiveDkgStep {
  const next = { ...state, tick: state.tick + 1 };
  const peers = otherCandidates(config);
  const first = (next.tick * peersAskedPerTick + ownIndex(config)) % peers.length;
  const asked = Array.from(
    { length: peersAskedPerTick },
    (_, at) => peers[(first + at) % peers.length] ?? '',
  );
  const wants = wantsOf(config, next);
  const { sessionId } = config;
  const inventory = inventoryOf(next);
  const status = (more: readonly Want[]): DkgMessage => ({
    kind: 'status',
    sessionId,
    inventory,
    wants: more,
  });
  const rest = wants.length === 0 ? peers : peers.filter((id) => !asked.includes(id));
  return {
    state: next,
    effects: [
      ...(wants.length === 0 ? [] : [send(asked, status(wants))]),
      send(rest, status([])),
      scheduleGossip(config),
    ],
  };
}

/**
 * Any dealing of a dealer without one, and every dealing in a list. Both, because a list may
 * contain hashes of dealings that do not exist, which must not prevent requests for real ones.
 */
function wantsOf(config: DkgConfig, state: ActiveDkgState): readonly Want[] {
  const checking = [...state.checking.values()];
  const dealersKnown = new Set([
    ...firstByDealer(state).keys(),
    ...checking.map(({ dealing }) => dealing.dealer),
    ownIndex(config),
  ]);
  const wants = new Map<string, Want>();
  for (const [at, id] of candidateIds(config).entries()) {
    const dealer = at + 1;
    if (dealersKnown.has(dealer) || state.blamed.has(`dealing:${id}`)) continue;
    wants.set(String(dealer), { dealer, hash: null });
  }
  const known = new Set([...state.dealings.keys(), ...checking.map(({ hash }) => toHex(hash))]);
  const lists = [...state.lists.values()].sort((a, b) => Number(b.wanted) - Number(a.wanted));
  for (const { dealings, stage, wanted } of lists) {
    if (isDone(stage.kind) || (hasReadyKey(state) && !wanted)) continue;
    for (const [at, hash] of dealings.entries()) {
      if (hash === null || known.has(toHex(hash))) continue;
      wants.set(toHex(hash), { dealer: at + 1, hash });
    }
  }
  return [...wants.values()].slice(0, maxWants);
}

export const inventoryOf = (state: DkgPublicState): DkgInventory => ({
  tick: state.tick,
  keys: toBits(state.keys),
  lists: toBits(state.proposed),
  readiness: [...state.lists.values()].slice(0, maxHeldLists).map(({ hash, readiness, wrong }) => ({
    list: hash,
    candidates: toBits(new Set([...readiness.keys(), ...wrong])),
  })),
});

interface Parts {
  readonly keys: readonly SignedKey[];
  readonly lists: readonly ProposedList[];
  readonly readiness: readonly SignedReadiness[];
}

/** DKG-D8: sends only what the peer lacks, each part once per request tick of the peer. */
export function sendMissing<State extends DkgState>(
  config: DkgConfig,
  state: State,
  to: NodeId,
  message: DkgMessage,
): { readonly state: State; readonly effects: readonly DkgEffect[] } {
  const { inventory } = message;
  const before = state.sent.get(to);
  const alreadySent = before?.tick === inventory.tick ? before.parts : new Set<string>();
  const parts: Parts = {
    keys: sortByCandidate(state.keys).filter(
      (key) => !hasBit(inventory.keys, key.candidate) && !alreadySent.has(idOfKey(key)),
    ),
    lists: sortByCandidate(state.proposed).filter(
      (list) => !hasBit(inventory.lists, list.candidate) && !alreadySent.has(idOfList(list)),
    ),
    readiness: missingReadiness(state, inventory).filter(
      (each) => !alreadySent.has(idOfReadiness(each)),
    ),
  };
  const dealings = missingDealings(state, message).filter(
    (each) => !alreadySent.has(idOfDealing(each)),
  );
  const sent = new Set([...alreadySent, ...idsOf(parts), ...dealings.map(idOfDealing)]);
  if (sent.size === alreadySent.size) return { state, effects: [] };
  const next = {
    ...state,
    sent: new Map(state.sent).set(to, { tick: inventory.tick, parts: sent }),
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

const missingReadiness = (
  state: DkgPublicState,
  holding: DkgInventory,
): readonly SignedReadiness[] =>
  [...state.lists.values()].slice(0, maxHeldLists).flatMap(({ hash, readiness }) => {
    const theirs = holding.readiness.find(({ list }) => equalBytes(list, hash));
    return sortByCandidate(readiness).filter(
      ({ candidate }) => !hasBit(theirs?.candidates ?? 0, candidate),
    );
  });

function missingDealings(state: DkgPublicState, message: DkgMessage): readonly HeldDealing[] {
  if (message.kind !== 'status') return [];
  const first = firstByDealer(state);
  const found = message.wants.flatMap(({ dealer, hash }) => {
    const each = hash === null ? first.get(dealer) : state.dealings.get(toHex(hash));
    return each === undefined ? [] : [each];
  });
  return [...new Set(found)];
}

/** Sends new parts to all and marks them as sent, so that no answer repeats them. */
export function broadcastParts(
  config: DkgConfig,
  state: ActiveDkgState,
  parts: Partial<Parts>,
): ActiveDkgStep {
  const all = { ...noParts, ...parts };
  const next = markSent(config, state, idsOf(all));
  return { state: next, effects: [sendParts(config, next, all, otherCandidates(config))] };
}

export function broadcastDealing(
  config: DkgConfig,
  state: ActiveDkgState,
  dealing: HeldDealing,
): ActiveDkgStep {
  const next = markSent(config, state, [idOfDealing(dealing)]);
  return { state: next, effects: [sendDealing(config, next, dealing, otherCandidates(config))] };
}

function markSent(
  config: DkgConfig,
  state: ActiveDkgState,
  ids: readonly string[],
): ActiveDkgState {
  const sent = new Map(state.sent);
  for (const id of otherCandidates(config)) {
    const before = sent.get(id);
    if (before !== undefined) {
      sent.set(id, { tick: before.tick, parts: new Set([...before.parts, ...ids]) });
    }
  }
  return { ...state, sent };
}

const noParts: Parts = { keys: [], lists: [], readiness: [] };

const sendParts = (
  { sessionId }: DkgConfig,
  state: DkgPublicState,
  parts: Parts,
  to: readonly NodeId[],
): DkgEffect => send(to, { kind: 'parts', sessionId, inventory: inventoryOf(state), ...parts });

const sendDealing = (
  { sessionId }: DkgConfig,
  state: DkgPublicState,
  { dealing }: HeldDealing,
  to: readonly NodeId[],
): DkgEffect => send(to, { kind: 'dealing', sessionId, inventory: inventoryOf(state), dealing });

const idsOf = ({ keys, lists, readiness }: Parts): readonly string[] => [
  ...keys.map(idOfKey),
  ...lists.map(idOfList),
  ...readiness.map(idOfReadiness),
];

const idOfKey = ({ candidate }: SignedKey): string => `key:${candidate}`;
const idOfList = ({ candidate }: ProposedList): string => `list:${candidate}`;
const idOfReadiness = ({ list, candidate }: SignedReadiness): string =>
  `readiness:${toHex(list)}:${candidate}`;
const idOfDealing = ({ hash }: HeldDealing): string => `dealing:${toHex(hash)}`;
