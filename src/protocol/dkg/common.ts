/** Helpers shared by all parts of the machine. */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId, Step } from '#core/machine.ts';
import { stepTo } from '#core/step.ts';
import { labelledHash } from '#crypto/hash.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { DealingList, SignedDealing } from './messages.ts';
import type {
  Dkg,
  DkgConfig,
  DkgFault,
  DkgState,
  DkgPublicState,
  HeldDealing,
  HeldList,
  KeyShareSet,
  ActiveDkgState,
} from './state.ts';
import { dealingHash, listHash, type Binding } from './transcript.ts';

export type DkgStep = Step<DkgState, Dkg>;
export type DkgEffect = Effect<Dkg>;

/** A step that leaves the session active. */
export type ActiveDkgStep = Step<ActiveDkgState, Dkg>;

export const activeStep: (
  state: ActiveDkgState,
  ...effects: readonly DkgEffect[]
) => ActiveDkgStep = stepTo;

export const bindingOf = ({ networkId, sessionId }: DkgConfig): Binding => ({
  networkId,
  sessionId,
});

const idsOf = new WeakMap<readonly Uint8Array[], readonly NodeId[]>();

/** Memoized: every event needs the ids several times, and hex conversion dominates. */
export function candidateIds({ candidates }: DkgConfig): readonly NodeId[] {
  const known = idsOf.get(candidates) ?? candidates.map(nameToId);
  idsOf.set(candidates, known);
  return known;
}

/** 1…7. */
export const ownIndex = (config: DkgConfig): number =>
  candidateIds(config).indexOf(config.self) + 1;

export const otherCandidates = (config: DkgConfig): readonly NodeId[] =>
  candidateIds(config).filter((id) => id !== config.self);

export function idOf(config: DkgConfig, candidate: number): NodeId {
  const id = candidateIds(config)[candidate - 1];
  assert(id !== undefined, 'the decoder accepts only indexes 1 to 7');
  return id;
}

export function signedBy(
  config: DkgConfig,
  candidate: number,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  const name = config.candidates[candidate - 1];
  return name !== undefined && config.suites.identity.verify(name, bytes, signature);
}

export const toHeldDealing = (config: DkgConfig, dealing: SignedDealing): HeldDealing => ({
  dealing,
  hash: dealingHash(bindingOf(config), dealing),
});

/** Blames each offence once, so a repeating culprit fills no log. */
export function blameOnce(state: ActiveDkgState, offence: string, fault: DkgFault): ActiveDkgStep {
  const id = `${offence}:${fault.culprit}`;
  if (state.blamed.has(id)) return { state, effects: [] };
  return {
    state: { ...state, blamed: new Set(state.blamed).add(id) },
    effects: [{ kind: 'blame', fault }],
  };
}

/** Adds this list; `wanted` is never reset. */
export function withList(
  config: DkgConfig,
  lists: ReadonlyMap<string, HeldList>,
  dealings: DealingList,
  wanted: boolean,
): ReadonlyMap<string, HeldList> {
  const hash = listHash(bindingOf(config), dealings);
  const id = toHex(hash);
  const known = lists.get(id);
  const list: HeldList = known ?? {
    dealings,
    hash,
    wanted,
    stage: { kind: 'incomplete' },
    readiness: new Map(),
    wrong: new Set(),
  };
  return new Map(lists).set(id, { ...list, wanted: wanted || list.wanted });
}

export const setList = (state: ActiveDkgState, list: HeldList): ActiveDkgState => ({
  ...state,
  lists: new Map(state.lists).set(toHex(list.hash), list),
});

/** N13: a list contains at least five dealings. */
export const hasQuorum = (dealings: DealingList): boolean =>
  dealings.filter((hash) => hash !== null).length >= SHARES_REQUIRED;

/** The first dealing held of each dealer. */
export function firstByDealer(
  state: Pick<ActiveDkgState, 'dealings'>,
): ReadonlyMap<number, HeldDealing> {
  const first = new Map<number, HeldDealing>();
  for (const each of state.dealings.values()) {
    if (!first.has(each.dealing.dealer)) first.set(each.dealing.dealer, each);
  }
  return first;
}

/** Does any list contain this dealing? */
export const isListed = (state: Pick<ActiveDkgState, 'lists'>, hash: Uint8Array): boolean =>
  [...state.lists.values()].some(({ dealings }) =>
    dealings.some((each) => each !== null && equalBytes(each, hash)),
  );

export const isSameList = (a: DealingList, b: DealingList): boolean =>
  a.every((hash, at) => {
    const other = b[at] ?? null;
    return hash === null || other === null ? hash === other : equalBytes(hash, other);
  });

/** 0…6: this candidate's rank among proposers, pseudorandom per session. */
export function proposerRank(config: DkgConfig): number {
  const draws = config.candidates.map((name, at) => ({
    at: at + 1,
    draw: labelledHash('safe/v1/dkg-namer', config.sessionId, name),
  }));
  const order = draws.sort((a, b) => compareBytes(a.draw, b.draw)).map(({ at }) => at);
  return order.indexOf(ownIndex(config));
}

export const send = (to: readonly NodeId[], message: Dkg['message']): DkgEffect => ({
  kind: 'send',
  to,
  message,
});

export const scheduleGossip = (config: DkgConfig): DkgEffect => ({
  kind: 'setTimer',
  timer: 'gossip',
  afterMs: config.gossipEveryMs,
});

/** Values by ascending index. */
export const sortByCandidate = <T>(byIndex: ReadonlyMap<number, T>): readonly T[] =>
  [...byIndex.entries()].sort(([a], [b]) => a - b).map(([, value]) => value);

export const toBits = (byIndex: { readonly keys: () => Iterable<number> }): number =>
  [...byIndex.keys()].reduce((bits, index) => bits | (1 << (index - 1)), 0);

export const hasBit = (bits: number, index: number): boolean => ((bits >> (index - 1)) & 1) === 1;

export const shareOutput = (
  config: DkgConfig,
  state: ActiveDkgState,
  { dealings }: HeldList,
  share: KeyShareSet,
): DkgEffect => ({
  kind: 'output',
  output: {
    kind: 'share',
    list: dealings,
    share,
    usedFallback: dealings.some(
      (hash) =>
        hash !== null &&
        state.dealings.get(toHex(hash))?.dealing.keys[ownIndex(config) - 1] === null,
    ),
  },
});

/** Once one key is proven ready, only lists a decision selected still need work. */
export const hasReadyKey = (state: DkgPublicState): boolean =>
  [...state.lists.values()].some(({ stage }) => stage.kind === 'derived' && stage.proof !== null);
