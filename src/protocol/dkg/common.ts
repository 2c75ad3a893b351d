/** Small things every part of the machine needs. */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId, Step } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { DealingList, SignedDealing } from './messages.ts';
import type {
  Dkg,
  DkgConfig,
  DkgFault,
  DkgState,
  Held,
  HeldDealing,
  HeldList,
  KeyShareSet,
  Open,
} from './state.ts';
import { dealingHash, listHash, type Binding } from './transcript.ts';

export type DkgStep = Step<DkgState, Dkg>;
export type DkgEffect = Effect<Dkg>;

/** A step that leaves the session open. */
export interface Taken {
  readonly state: Open;
  readonly effects: readonly DkgEffect[];
}

/** Does these one after the other, each on the state the one before left. */
export function inTurn(state: Open, steps: readonly ((state: Open) => Taken)[]): Taken {
  let current = state;
  const effects: DkgEffect[] = [];
  for (const step of steps) {
    const taken = step(current);
    current = taken.state;
    effects.push(...taken.effects);
  }
  return { state: current, effects };
}

export const bindingOf = ({ networkId, sessionId }: DkgConfig): Binding => ({
  networkId,
  sessionId,
});

const idsOf = new WeakMap<readonly Uint8Array[], readonly NodeId[]>();

/** A memo: every event asks several times, and hex takes longer than the rest. */
export function candidateIds({ candidates }: DkgConfig): readonly NodeId[] {
  const known = idsOf.get(candidates) ?? candidates.map(nameToId);
  idsOf.set(candidates, known);
  return known;
}

/** 1…7. */
export const ownIndex = (config: DkgConfig): number =>
  candidateIds(config).indexOf(config.self) + 1;

export const others = (config: DkgConfig): readonly NodeId[] =>
  candidateIds(config).filter((id) => id !== config.self);

export function idOf(config: DkgConfig, candidate: number): NodeId {
  const id = candidateIds(config)[candidate - 1];
  assert(id !== undefined, 'the decoder lets indexes 1 to 7 through');
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

export const held = (config: DkgConfig, dealing: SignedDealing): HeldDealing => ({
  dealing,
  hash: dealingHash(bindingOf(config), dealing),
});

/** Blames once for each deed: a liar that repeats itself fills no log. */
export function blameOnce(state: Open, deed: string, fault: DkgFault): Taken {
  const id = `${deed}:${fault.culprit}`;
  if (state.blamed.has(id)) return { state, effects: [] };
  return {
    state: { ...state, blamed: new Set(state.blamed).add(id) },
    effects: [{ kind: 'blame', fault }],
  };
}

/** The lists with this one among them; `wanted` sticks. */
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
    stage: { kind: 'lacking' },
    readiness: new Map(),
    wrong: new Set(),
  };
  return new Map(lists).set(id, { ...list, wanted: wanted || list.wanted });
}

export const setList = (state: Open, list: HeldList): Open => ({
  ...state,
  lists: new Map(state.lists).set(toHex(list.hash), list),
});

/** N13: a list is of at least five. */
export const isLongEnough = (dealings: DealingList): boolean =>
  dealings.filter((hash) => hash !== null).length >= SHARES_REQUIRED;

/** The first dealing held of each dealer. */
export function firstByDealer(state: Pick<Open, 'dealings'>): ReadonlyMap<number, HeldDealing> {
  const first = new Map<number, HeldDealing>();
  for (const each of state.dealings.values()) {
    if (!first.has(each.dealing.dealer)) first.set(each.dealing.dealer, each);
  }
  return first;
}

/** Whether a list, or a decision, asks for this very dealing. */
export const isListed = (state: Pick<Open, 'lists'>, hash: Uint8Array): boolean =>
  [...state.lists.values()].some(({ dealings }) =>
    dealings.some((each) => each !== null && equalBytes(each, hash)),
  );

export const isSameList = (a: DealingList, b: DealingList): boolean =>
  a.every((hash, at) => {
    const other = b[at] ?? null;
    return hash === null || other === null ? hash === other : equalBytes(hash, other);
  });

/** 0…6: who names first, drawn from the session so that no candidate is always the one. */
export function namingRank(config: DkgConfig): number {
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

export const gossipLater = (config: DkgConfig): DkgEffect => ({
  kind: 'setTimer',
  timer: 'gossip',
  afterMs: config.gossipEveryMs,
});

/** Values by ascending index. */
export const inOrder = <T>(byIndex: ReadonlyMap<number, T>): readonly T[] =>
  [...byIndex.entries()].sort(([a], [b]) => a - b).map(([, value]) => value);

export const toBits = (byIndex: { readonly keys: () => Iterable<number> }): number =>
  [...byIndex.keys()].reduce((bits, index) => bits | (1 << (index - 1)), 0);

export const hasBit = (bits: number, index: number): boolean => ((bits >> (index - 1)) & 1) === 1;

export const shareOutput = (
  config: DkgConfig,
  state: Open,
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

export const unchanged = (state: Open): Taken => ({ state, effects: [] });

/** One key is proven ready: other lists are looked after only when a decision picked them. */
export const isAnyReady = (state: Held): boolean =>
  [...state.lists.values()].some(({ stage }) => stage.kind === 'derived' && stage.proof !== null);
