/**
 * The tail of a handover, from the stop of all money to the first breath of the new key: N18–N28.
 * One machine for old elders and new ones; a node may be both. Rules in README.md.
 */
import { assert, assertNever } from '#core/assert.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { snapshotsRequired } from '#money/snapshot.ts';
import { snapshotBytes, type SignedSnapshot } from '#protocol/membership/index.ts';
import {
  SHARES_REQUIRED,
  charterHash,
  successorHash,
  successorRecordOf,
  type Charter,
  type SectionElder,
  type SectionState,
  type SignedSuccessor,
  type SuccessorRecord,
} from '#protocol/section/index.ts';
import type { HandoverMessage, HandoverNews, Receipt, SuccessorShare } from './messages.ts';
import { receiptBytes } from './receipt.ts';
import type {
  Handover,
  HandoverConfig,
  HandoverFact,
  HandoverInput,
  HandoverState,
} from './state.ts';

/** The pause doubles this often at most: sixteen times the first one. */
const maxDoublings = 4;
/** For each of seven voters one list of each of seven elders. */
const maxCited = 49;

type Outcome = Step<HandoverState, Handover>;
type Effects = readonly Effect<Handover>[];

export const handover: Machine<HandoverConfig, HandoverState, Handover> = {
  start: (config, facts) => {
    const state = facts.reduce(recall, fresh);
    const effects: Effect<Handover>[] = [];
    if (oldSelf(config) !== undefined && state.stopped === null)
      effects.push(out({ kind: 'stop' }));
    if (state.successor !== null) {
      effects.push(out({ kind: 'succeeded', signed: state.successor }), out({ kind: 'erase' }));
    }
    if (state.released) effects.push(out({ kind: 'release' }));
    else effects.push(setTimer(config, state), ...broadcast(config, news(config, state, true)));
    const signing = signDue(config, state);
    const next = settle(config, { ...state, activated: false });
    return { state: next.state, effects: [...effects, ...signing, ...next.effects] };
  },

  step: (config, state, event) => {
    switch (event.kind) {
      case 'input':
        return onInput(config, state, event.input);
      case 'received':
        return onMessage(config, state, event.from, event.message);
      case 'timerFired':
        return repeat(config, state);
      case 'computed':
        return onComputed(config, state, event.id, event.result);
      default:
        return assertNever(event);
    }
  },
};

const fresh: HandoverState = {
  stopped: null,
  roots: new Map(),
  twoFaced: new Set(),
  cited: new Map(),
  held: new Set(),
  proposed: false,
  chosen: null,
  ownShare: null,
  shares: new Map(),
  dropped: new Set(),
  combining: false,
  successor: null,
  verifying: new Map(),
  untrue: new Set(),
  inherited: false,
  activated: false,
  receipts: new Map(),
  released: false,
  round: 0,
};

/** Snapshots and shares are asked for again; what others rely on is in the facts. */
function recall(state: HandoverState, fact: HandoverFact): HandoverState {
  switch (fact.kind) {
    case 'stopped': {
      const { snapshot } = fact;
      const roots = new Map(state.roots).set(snapshot.elder, snapshot);
      return { ...state, stopped: snapshot, roots, held: new Set([snapshot.elder]) };
    }
    case 'chose':
      return state.chosen === null ? { ...state, chosen: fact.record } : state; // N20
    case 'succeeded':
      return { ...state, successor: fact.signed };
    case 'inherited':
      return { ...state, inherited: true };
    case 'receipt':
      return withReceipt(state, fact.receipt);
    case 'released':
      return { ...state, released: true };
    default:
      return assertNever(fact);
  }
}

function onInput(config: HandoverConfig, state: HandoverState, input: HandoverInput): Outcome {
  switch (input.kind) {
    case 'moneySealed':
      return onStopped(config, state, input.root);
    case 'snapshotHeld': {
      const cited = new Map(state.cited);
      cited.delete(citedId(input));
      const known = state.roots.get(input.elder);
      if (known === undefined || !equalBytes(known.root, input.root)) {
        return stay({ ...state, cited });
      }
      const held = new Set(state.held).add(input.elder);
      return mergeDue({ ...state, cited, held });
    }
    case 'cited':
      return onCited(config, state, input.snapshots);
    case 'merged': {
      if (state.chosen !== null || state.proposed) return stay(state);
      const { snapshots, sealedRoot } = input;
      return {
        state: { ...state, proposed: true },
        effects: [out({ kind: 'propose', snapshots, sealedRoot })],
      };
    }
    case 'sealed':
      return onSealed(config, state, input.state);
    case 'succeeded':
      return onSuccessor(config, state, input.signed);
    case 'inherited': {
      const { successor } = state;
      const fits = successor && equalBytes(successor.record.sealedRoot, input.sealedRoot);
      if (fits !== true || heirSelf(config) === undefined) return stay(state);
      return settle(config, { ...state, inherited: true });
    }
    default:
      return assertNever(input);
  }
}

/**
 * Whatever an elder signed may be in the set, also what it showed to others alone. The role names at
 * most one list of each elder for each voter; what it names no more is sought no more.
 */
function onCited(
  config: HandoverConfig,
  before: HandoverState,
  snapshots: readonly SignedSnapshot[],
): Outcome {
  if (oldSelf(config) === undefined || before.chosen !== null) return stay(before);
  let state: HandoverState = { ...before, cited: new Map() };
  const effects: Effect<Handover>[] = [];
  for (const snapshot of snapshots.slice(0, maxCited)) {
    const { elder, root } = snapshot;
    const id = citedId(snapshot);
    const known = state.roots.get(elder);
    if (known !== undefined && state.held.has(elder) && equalBytes(known.root, root)) continue;
    const isNew = !before.cited.has(id);
    if (isNew && !isSigned(config, snapshot)) continue;
    const other = known ?? [...state.cited.values()].find((each) => each.elder === elder);
    if (other !== undefined && !equalBytes(other.root, root)) {
      const shown = showTwoRoots(config, state, other, snapshot);
      state = shown.state;
      effects.push(...shown.effects);
    }
    state = { ...state, cited: new Map(state.cited).set(id, snapshot) };
    if (isNew) {
      effects.push(out({ kind: 'fetch', root, elder, from: sourcesOf(config, elder) }));
    }
  }
  return { state, effects };
}

const citedId = ({ elder, root }: Pick<SignedSnapshot, 'elder' | 'root'>): string =>
  `${elder}.${toHex(root)}`;

function isSigned(config: HandoverConfig, { elder, root, signature }: SignedSnapshot): boolean {
  const name = oldElders(config).find(({ index }) => index === elder)?.name;
  const bytes = snapshotBytes(config.closing, elder, root);
  return name !== undefined && config.identity.verify(name, bytes, signature);
}

/** Whoever signed two is left out of our own set, wherever the second one was shown. */
function showTwoRoots(
  config: HandoverConfig,
  state: HandoverState,
  first: SignedSnapshot,
  second: SignedSnapshot,
): Outcome {
  if (state.twoFaced.has(first.elder)) return stay(state);
  const twoFaced = new Set(state.twoFaced).add(first.elder);
  const culprit = idOf(config, first.elder);
  const fault = { kind: 'twoRoots', culprit, roots: [first, second] } as const;
  return { state: { ...state, twoFaced }, effects: [blame(fault)] };
}

/** N22: the root is signed when nothing else will be; a second root would be a second truth. */
function onStopped(config: HandoverConfig, state: HandoverState, root: Uint8Array): Outcome {
  const self = oldSelf(config);
  if (self === undefined || state.stopped !== null) return stay(state);
  const bytes = snapshotBytes(config.closing, self.index, root);
  const signature = config.identity.sign(config.identitySeed, bytes);
  const snapshot: SignedSnapshot = { elder: self.index, root, signature };
  const next = mergeDue({
    ...state,
    stopped: snapshot,
    roots: new Map(state.roots).set(self.index, snapshot),
    held: new Set(state.held).add(self.index),
  });
  const settled = settle(config, next.state);
  return {
    state: settled.state,
    effects: [
      { kind: 'persist', fact: { kind: 'stopped', snapshot } },
      ...broadcast(config, { ...emptyNews, roots: [snapshot] }),
      ...next.effects,
      ...settled.effects,
    ],
  };
}

/** N23: five snapshots, each here and checked, and one's own stop among the reasons to trust them. */
function mergeDue(state: HandoverState): Outcome {
  if (state.proposed || state.chosen !== null) return stay(state);
  const snapshots = [...state.roots.values()]
    .filter(({ elder }) => state.held.has(elder) && !state.twoFaced.has(elder))
    .sort((a, b) => a.elder - b.elder);
  if (snapshots.length < snapshotsRequired) return stay(state);
  return { state, effects: [out({ kind: 'merge', snapshots })] };
}

/** N20, N21: the first record that fits the handover that was decided; no other, ever. */
function onSealed(config: HandoverConfig, state: HandoverState, sealed: SectionState): Outcome {
  const record = successorRecordOf(sealed);
  if (record === undefined || !follows(config, record)) return stay(state);
  if (state.chosen !== null || oldSelf(config) === undefined) return stay(state);
  const next = { ...state, chosen: record };
  const effects: Effects = [
    { kind: 'persist', fact: { kind: 'chose', record } },
    ...signDue(config, next),
  ];
  return after(combineDue(config, next), effects);
}

/** N21: same parent, and the very keys that the handover decision named. */
function follows({ closing }: HandoverConfig, record: SuccessorRecord): boolean {
  const { authority, ledger } = closing;
  if (ledger.phase.kind === 'open') return false;
  const { charters } = ledger.phase;
  return (
    equalBytes(record.parentKey, authority.key) &&
    equalBytes(record.networkId, authority.networkId) &&
    record.epoch === authority.epoch &&
    record.finalGeneration === authority.generation &&
    record.children.length === charters.length &&
    charters.every((charter, at) => {
      const child = record.children[at];
      return child !== undefined && equalBytes(child.charterHash, charterHash(charter));
    })
  );
}

function signDue({ secretShare }: HandoverConfig, state: HandoverState): Effects {
  const { chosen, ownShare, successor } = state;
  if (chosen === null || ownShare !== null || successor !== null || secretShare === null) return [];
  return [{ kind: 'compute', id: 'sign', job: { kind: 'sign', secretShare, record: chosen } }];
}

function onMessage(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  message: HandoverMessage,
): Outcome {
  if (!others(config).includes(from)) return stay(state);
  switch (message.kind) {
    case 'news':
      return onNews(config, state, from, message);
    case 'askPage': {
      // N27: whoever holds the list serves it; a late heir finds it at the others when the old ones
      // have let go.
      const { root, start } = message;
      return say(state, { kind: 'serve', to: from, root, start });
    }
    case 'page':
      return say(state, { kind: 'page', from, page: message });
    default:
      return assertNever(message);
  }
}

function onNews(
  config: HandoverConfig,
  before: HandoverState,
  from: NodeId,
  message: HandoverNews,
): Outcome {
  let now: Outcome = stay(before);
  for (const root of message.roots) now = after(onRoot(config, now.state, from, root), now.effects);
  if (message.share !== null) {
    now = after(onShare(config, now.state, from, message.share), now.effects);
  }
  const { successor } = message;
  const { verifying, untrue } = now.state;
  const isBusy = verifying.has(from) || untrue.has(from);
  if (successor !== null && now.state.successor === null && !isBusy) {
    if (follows(config, successor.record)) {
      const job = { kind: 'verify', signed: successor } as const;
      const verify: Effect<Handover> = { kind: 'compute', id: `verify|${from}`, job };
      const all = new Map(verifying).set(from, successor);
      now = { state: { ...now.state, verifying: all }, effects: [...now.effects, verify] };
    } else {
      now = { ...now, effects: [...now.effects, blame({ kind: 'badSuccessor', culprit: from })] };
    }
  }
  for (const receipt of message.receipts) {
    now = after(onReceipt(config, now.state, from, receipt), now.effects);
  }
  if (!message.wants) return now;
  const answer: Effect<Handover> = {
    kind: 'send',
    to: [from],
    message: news(config, now.state, false),
  };
  return { state: now.state, effects: [...now.effects, answer] };
}

function onRoot(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  root: SignedSnapshot,
): Outcome {
  const known = state.roots.get(root.elder);
  if (known !== undefined && equalBytes(known.root, root.root)) return stay(state);
  const elder = oldElders(config).find(({ index }) => index === root.elder);
  if (elder === undefined || !isSigned(config, root)) {
    return { state, effects: [blame({ kind: 'badRoot', culprit: from })] };
  }
  if (known !== undefined) return showTwoRoots(config, state, known, root);
  const culprit = toHex(elder.name);
  const roots = new Map(state.roots).set(root.elder, root);
  const wanted = oldSelf(config) !== undefined && state.chosen === null;
  const sources = [culprit, ...others(config).filter((id) => id !== culprit)];
  const fetch = out({ kind: 'fetch', root: root.root, elder: root.elder, from: sources });
  return { state: { ...state, roots }, effects: wanted ? [fetch] : [] };
}

function onShare(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  share: SuccessorShare,
): Outcome {
  const elder = oldElders(config).find(({ name }) => toHex(name) === from);
  const over = state.successor !== null || oldSelf(config) === undefined;
  if (elder === undefined || over || state.dropped.has(elder.index)) return stay(state);
  if (state.shares.has(elder.index)) return stay(state);
  const shares = new Map(state.shares).set(elder.index, share);
  return combineDue(config, { ...state, shares });
}

function combineDue(config: HandoverConfig, before: HandoverState): Outcome {
  const { chosen, combining, successor } = before;
  if (chosen === null || combining || successor !== null) return stay(before);
  const hash = successorHash(chosen);
  const effects: Effect<Handover>[] = [];
  const shares = new Map(before.shares);
  const dropped = new Set(before.dropped);
  for (const [index, share] of before.shares) {
    if (equalBytes(share.record, hash)) continue;
    shares.delete(index);
    dropped.add(index);
    effects.push(blame({ kind: 'badShare', culprit: idOf(config, index) }));
  }
  const state = { ...before, shares, dropped };
  if (shares.size < SHARES_REQUIRED) return { state, effects };
  const ready = [...shares]
    .sort(([a], [b]) => a - b)
    .map(([index, { signature }]) => ({ index, signature }));
  const elders = oldElders(config);
  const job = { kind: 'combine', elders, record: chosen, shares: ready } as const;
  return {
    state: { ...state, combining: true },
    effects: [...effects, { kind: 'compute', id: 'combine', job }],
  };
}

function onComputed(
  config: HandoverConfig,
  state: HandoverState,
  id: string,
  result: Handover['result'],
): Outcome {
  if (result.kind === 'signed') {
    const { chosen } = state;
    const self = oldSelf(config);
    if (chosen === null || self === undefined || state.ownShare !== null) return stay(state);
    const { signature } = result;
    const share = { record: successorHash(chosen), signature };
    const shares = new Map(state.shares).set(self.index, share);
    const said = broadcast(config, { ...emptyNews, share });
    return after(combineDue(config, { ...state, ownShare: signature, shares }), said);
  }
  if (result.kind === 'combined') {
    const { chosen } = state;
    if (chosen === null || state.successor !== null) return stay({ ...state, combining: false });
    if (result.signature !== null) {
      const signed = { record: chosen, signature: result.signature };
      return onSuccessor(config, { ...state, combining: false }, signed);
    }
    const shares = new Map([...state.shares].filter(([index]) => !result.bad.includes(index)));
    const dropped = new Set([...state.dropped, ...result.bad]);
    const blames = result.bad.map((index) =>
      blame({ kind: 'badShare', culprit: idOf(config, index) }),
    );
    return after(combineDue(config, { ...state, shares, dropped, combining: false }), blames);
  }
  const [, culprit = ''] = id.split('|');
  const signed = state.verifying.get(culprit);
  if (signed === undefined) return stay(state);
  const verifying = new Map(state.verifying);
  verifying.delete(culprit);
  if (result.good) return onSuccessor(config, { ...state, verifying }, signed);
  const untrue = new Set(state.untrue).add(culprit);
  return {
    state: { ...state, verifying, untrue },
    effects: [blame({ kind: 'badSuccessor', culprit })],
  };
}

/** The link exists: the old share has done its last work (N18), the new elders may begin. */
function onSuccessor(
  config: HandoverConfig,
  state: HandoverState,
  signed: SignedSuccessor,
): Outcome {
  if (state.successor !== null || !follows(config, signed.record)) return stay(state);
  const effects: Effect<Handover>[] = [
    { kind: 'persist', fact: { kind: 'succeeded', signed } },
    ...broadcast(config, { ...emptyNews, successor: signed }),
    out({ kind: 'succeeded', signed }),
    out({ kind: 'erase' }),
  ];
  return after(settle(config, { ...state, successor: signed }), effects);
}

/** What a known link and a held inheritance allow: to fetch, to sign for it, to begin. */
function settle(config: HandoverConfig, state: HandoverState): Outcome {
  const heir = heirSelf(config);
  const { successor } = state;
  if (heir === undefined || successor === null || state.activated) return stay(state);
  const { record } = successor;
  if (!state.inherited) {
    const from = others(config);
    const fetch = out({ kind: 'fetch', root: record.sealedRoot, elder: null, from });
    return { state, effects: [fetch] };
  }
  // N27: a continuing elder begins nothing before it has stopped what was.
  if (oldSelf(config) !== undefined && state.stopped === null) {
    return { state, effects: [out({ kind: 'stop' })] };
  }
  const { child, charter, index } = heir;
  const bytes = receiptBytes(record, child);
  const signature = config.identity.sign(config.identitySeed, bytes);
  const receipt: Receipt = { child, elder: index, signature };
  const next = withReceipt({ ...state, activated: true }, receipt);
  return after(releaseDue(config, next), [
    { kind: 'persist', fact: { kind: 'inherited' } },
    ...broadcast(config, { ...emptyNews, successor, receipts: [receipt] }),
    out({ kind: 'activate', child, charter, signed: successor }),
  ]);
}

function onReceipt(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  receipt: Receipt,
): Outcome {
  const { successor } = state;
  if (successor === null || state.receipts.has(keyOf(receipt))) return stay(state);
  const elder = chartersOf(config)[receipt.child]?.elders.find(
    ({ index }) => index === receipt.elder,
  );
  const bytes = receiptBytes(successor.record, receipt.child);
  if (elder === undefined || !config.identity.verify(elder.name, bytes, receipt.signature)) {
    return { state, effects: [blame({ kind: 'badReceipt', culprit: from })] };
  }
  return after(releaseDue(config, withReceipt(state, receipt)), [
    { kind: 'persist', fact: { kind: 'receipt', receipt } },
  ]);
}

/** N27: five of every child hold everything; from then on nothing is owed. */
function releaseDue(config: HandoverConfig, state: HandoverState): Outcome {
  const enough = chartersOf(config).every((_, child) => {
    const own = [...state.receipts.values()].filter((receipt) => receipt.child === child);
    return own.length >= SHARES_REQUIRED;
  });
  const finished = heirSelf(config) === undefined || state.activated;
  if (!enough || !finished || state.released || state.successor === null) return stay(state);
  return {
    state: { ...state, released: true },
    effects: [
      { kind: 'persist', fact: { kind: 'released' } },
      out({ kind: 'release' }),
      { kind: 'clearTimer', timer: 'repeat' },
    ],
  };
}

const keyOf = ({ child, elder }: Receipt): string => `${child}|${elder}`;

const withReceipt = (state: HandoverState, receipt: Receipt): HandoverState => ({
  ...state,
  receipts: new Map(state.receipts).set(keyOf(receipt), receipt),
});

/** A tick decides nothing: it asks again, and says again what may have been lost. */
function repeat(config: HandoverConfig, before: HandoverState): Outcome {
  if (before.released) return stay(before);
  const state = { ...before, round: before.round + 1 };
  const effects: Effect<Handover>[] = [
    ...broadcast(config, news(config, state, true)),
    setTimer(config, state),
  ];
  const { roots, held, chosen, successor } = state;
  // The shell's disk may have refused: until there is an answer the wish is not done.
  if (oldSelf(config) !== undefined && state.stopped === null) effects.push(out({ kind: 'stop' }));
  if (oldSelf(config) !== undefined && chosen === null && successor === null) {
    for (const [elder, { root }] of roots) {
      const from = sourcesOf(config, elder);
      if (!held.has(elder)) effects.push(out({ kind: 'fetch', root, elder, from }));
    }
    for (const [, { root, elder }] of state.cited) {
      effects.push(out({ kind: 'fetch', root, elder, from: sourcesOf(config, elder) }));
    }
    effects.push(...mergeDue(state).effects);
  }
  if (heirSelf(config) !== undefined && !state.activated) {
    effects.push(...settle(config, state).effects.filter(({ kind }) => kind === 'output'));
  }
  return { state, effects };
}

const emptyNews: HandoverNews = {
  kind: 'news',
  wants: false,
  roots: [],
  share: null,
  successor: null,
  receipts: [],
};

function news(config: HandoverConfig, state: HandoverState, wants: boolean): HandoverNews {
  const { successor, chosen, ownShare, receipts } = state;
  const roots = [...state.roots.values()].sort((a, b) => a.elder - b.elder);
  const own = oldSelf(config);
  const share =
    successor === null && chosen !== null && own !== undefined && ownShare !== null
      ? { record: successorHash(chosen), signature: ownShare }
      : null;
  return {
    kind: 'news',
    wants,
    roots: successor === null ? roots : [],
    share,
    successor,
    receipts: [...receipts.values()],
  };
}

const oldElders = ({ closing }: HandoverConfig): readonly SectionElder[] =>
  closing.authority.elders;

const oldSelf = (config: HandoverConfig): SectionElder | undefined =>
  config.silent === true
    ? undefined
    : oldElders(config).find(({ name }) => equalBytes(name, config.name));

function chartersOf({ closing }: HandoverConfig): readonly Charter[] {
  const { phase } = closing.ledger;
  assert(phase.kind !== 'open', 'a handover begins with its decision');
  return phase.charters;
}

function heirSelf(
  config: HandoverConfig,
): { readonly child: number; readonly charter: Charter; readonly index: number } | undefined {
  for (const [child, charter] of chartersOf(config).entries()) {
    const self = charter.elders.find(({ name }) => equalBytes(name, config.name));
    if (self !== undefined) return { child, charter, index: self.index };
  }
  return undefined;
}

/** Every old and new elder but this node. */
function others(config: HandoverConfig): readonly NodeId[] {
  const all = [...oldElders(config), ...chartersOf(config).flatMap(({ elders }) => elders)];
  const names = [...all].map(({ name }) => name).sort(compareBytes);
  const ids = new Set(names.map((name) => toHex(name)));
  ids.delete(toHex(config.name));
  return [...ids];
}

/** Who has an elder's snapshot: the elder itself, then everybody else. */
const sourcesOf = (config: HandoverConfig, elder: number): readonly NodeId[] => {
  const own = idOf(config, elder);
  return [own, ...others(config).filter((id) => id !== own)];
};

const idOf = (config: HandoverConfig, index: number): NodeId => {
  const elder = oldElders(config).find((each) => each.index === index);
  return elder === undefined ? '' : toHex(elder.name);
};

const broadcast = (config: HandoverConfig, message: HandoverMessage): Effects => {
  const to = others(config);
  return to.length === 0 ? [] : [{ kind: 'send', to, message }];
};

const setTimer = (config: HandoverConfig, { round }: HandoverState): Effect<Handover> => ({
  kind: 'setTimer',
  timer: 'repeat',
  afterMs: config.repeatEveryMs * 2 ** Math.min(round, maxDoublings),
});

const after = (outcome: Outcome, before: Effects): Outcome => ({
  state: outcome.state,
  effects: [...before, ...outcome.effects],
});

const say = (state: HandoverState, output: Handover['output']): Outcome => ({
  state,
  effects: [out(output)],
});

const out = (output: Handover['output']): Effect<Handover> => ({ kind: 'output', output });
const blame = (fault: Handover['fault']): Effect<Handover> => ({ kind: 'blame', fault });
