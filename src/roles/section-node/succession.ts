/**
 * From the decision for a handover to the first seal of the new key, at old elders and at heirs
 * (N19–N28). The protocol is `protocol/handover`; here its words meet the log and the tree.
 */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { lift, type Lift } from '#core/compose.ts';
import type { Context, Effect, Event, NodeId } from '#core/machine.ts';
import {
  handover,
  type Handover,
  type HandoverConfig,
  type HandoverFact,
  type HandoverOutput,
} from '#protocol/handover/index.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import {
  successorState,
  type Phase,
  type SealedState,
  type SectionState,
  type SnapshotRoot,
} from '#protocol/section/index.ts';
import { openFirstDesk, takeSeat } from './desk.ts';
import { keyOf, setId } from './endings.ts';
import { after, flow, forEach, inOrder, type Flow } from './flow.ts';
import { offerLater } from './offering.ts';
import { elderIndex, stamp } from './peers.ts';
import { isSilent } from './silence.ts';
import type { Ending, SectionNode, SectionNodeConfig, SectionNodeState } from './state.ts';

/** A new sealed state of this node's section: does its key come to an end, or is the end over? */
export function followEnding(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  facts: readonly HandoverFact[],
  context: Context,
): Flow {
  const { authority, ledger } = sealed.state;
  // N27: what was sealed is served until the heirs have it; the machine says when that is.
  if (ledger.phase.kind === 'open') return flow(keepOpen(state, sealed));
  const begun =
    state.ending !== null && equalBytes(keyOf(state.ending), authority.key)
      ? flow(state)
      : begin(config, state, sealed, ledger.phase, facts, context);
  if (ledger.phase.kind !== 'sealed') return begun;
  const input = { kind: 'sealed', state: sealed.state } as const;
  return inOrder(
    begun.state,
    () => begun,
    (now) => stepEnding(config, now, { kind: 'input', input }, context),
    // The link may have come before the state that it follows.
    (now) => (now.desk === null ? activate(config, now) : flow(now)),
  );
}

/** Proofs of sessions that the section still waits for; those of all others are of no use any more. */
function keepOpen(state: SectionNodeState, { state: { ledger } }: SealedState): SectionNodeState {
  const open = ledger.sessions.map(({ id }) => toHex(id));
  const ready = [...state.ready].filter(([id]) => open.some((session) => id.startsWith(session)));
  return { ...state, ready: new Map(ready) };
}

function begin(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  phase: Exclude<Phase, { kind: 'open' }>,
  facts: readonly HandoverFact[],
  context: Context,
): Flow {
  const takesPart = [sealed.state.authority, ...phase.charters].some(
    (each) => elderIndex(each, config.self) > 0,
  );
  if (!takesPart) return flow({ ...state, ending: null });
  const closing = closingStateOf(sealed.state, phase);
  const blank: Ending = {
    closing,
    state: null,
    sets: [],
    merged: new Map(),
    held: new Set(),
    merging: new Map(),
    activated: null,
  };
  const started = handover.start(handoverConfig(config, state, closing), facts, context);
  // Our own snapshot is here, also after a restart, when nobody tells us again.
  const { stopped } = started.state;
  const held = stopped === null ? [] : [`${stopped.elder}.${toHex(stopped.root)}`];
  const ending = { ...blank, held: new Set(held), state: started.state };
  return absorb(config, { ...state, ending }, started.effects);
}

/** Who meets the section after its sealed set is one generation past what the elders signed. */
function closingStateOf(
  { authority, ledger }: SectionState,
  phase: Exclude<Phase, { kind: 'open' }>,
): SectionState {
  if (phase.kind === 'closing') return { authority, ledger };
  return { authority: { ...authority, generation: authority.generation - 1n }, ledger };
}

/** One event for the handover of the present, or the last, key. */
export function stepEnding(
  config: SectionNodeConfig,
  state: SectionNodeState,
  event: Event<Handover>,
  context: Context,
): Flow {
  const { ending } = state;
  if (ending === null || ending.state === null) return flow(state);
  const stepped = handover.step(
    handoverConfig(config, state, ending.closing),
    ending.state,
    event,
    context,
  );
  const next = { ...state, ending: { ...ending, state: stepped.state } };
  return absorb(config, next, stepped.effects);
}

function absorb(
  config: SectionNodeConfig,
  state: SectionNodeState,
  effects: readonly Effect<Handover>[],
): Flow {
  let all = flow(state);
  // One at a time: an output may come before a message that relies on what it starts.
  for (const effect of effects) {
    const { effects: lifted, outputs } = lift([effect], liftOf(all.state));
    all = after({ state: all.state, effects: [...all.effects, ...lifted] }, (now) =>
      forEach(now, outputs, (then, output) => heed(config, then, output)),
    );
  }
  return all;
}

function heed(config: SectionNodeConfig, state: SectionNodeState, output: HandoverOutput): Flow {
  const { ending } = state;
  assert(ending !== null, 'outputs come from an instance');
  const key = keyOf(ending);
  switch (output.kind) {
    case 'stop':
      return flow(state, { kind: 'output', output: { kind: 'sealMoney', key } });
    case 'fetch':
    case 'serve':
    case 'page':
      return flow(state, { kind: 'output', output: { ...output, key } });
    case 'merge':
      return askMerge(state, ending, output.snapshots, true);
    case 'propose': {
      const { snapshots, sealedRoot } = output;
      const sets = [...ending.sets, { kind: 'sealedSet', snapshots, sealedRoot } as const];
      return offerLater(config, { ...state, ending: { ...ending, sets } });
    }
    case 'succeeded':
      return flow(state);
    case 'erase':
      return erase(state, key);
    case 'activate':
      return activate(config, { ...state, ending: { ...ending, activated: output.signed } });
    case 'release':
      return flow(state, { kind: 'output', output: { kind: 'release', key } });
  }
}

/** N18: what signs nothing any more cannot be stolen. */
function erase(state: SectionNodeState, key: Uint8Array): Flow {
  if (!state.shares.has(toHex(key))) return flow(state);
  const shares = new Map(state.shares);
  shares.delete(toHex(key));
  return flow({ ...state, shares }, { kind: 'persist', fact: { kind: 'shareErased', key } });
}

/**
 * This node begins as an elder of the next key when it has all three, in whatever order they come:
 * the link that lets it, the sealed state of the old key, and its share (N13).
 */
function activate(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const { own, ending } = state;
  if (own === null || ending === null || ending.activated === null) return flow(state);
  const { phase } = own.state.ledger;
  if (phase.kind !== 'sealed') return flow(state);
  const charter = phase.charters.find((each) => elderIndex(each, config.self) > 0);
  const share = charter && state.shares.get(toHex(charter.key));
  const first = charter && successorState(own.state, charter.key);
  if (share === undefined || first === undefined) return flow(state);
  return openFirstDesk(config, state, first, share);
}

/** A share of some key was found: of the one in force, or of the next one. */
export function shareStored(
  config: SectionNodeConfig,
  state: SectionNodeState,
  key: Uint8Array,
  context: Context,
): Flow {
  const { own, desk } = state;
  if (own !== null && desk === null && equalBytes(own.state.authority.key, key)) {
    return takeSeat(config, state, own, [], context);
  }
  return desk === null ? activate(config, state) : flow(state);
}

/** What the shell answers to `merge`. */
export function merged(
  config: SectionNodeConfig,
  state: SectionNodeState,
  snapshots: readonly SnapshotRoot[],
  root: Uint8Array,
  context: Context,
): Flow {
  const { ending } = state;
  const asked = ending?.merging.get(setId(snapshots));
  if (ending === null || asked === undefined) return flow(state);
  const results = new Map(ending.merged).set(setId(snapshots), root);
  const next = { ...state, ending: { ...ending, merged: results } };
  const input = { kind: 'merged', snapshots: asked.snapshots, sealedRoot: root } as const;
  return asked.isOwn ? stepEnding(config, next, { kind: 'input', input }, context) : flow(next);
}

/** The shell could not merge these: it is asked again with the next tick (`deferred.ts`), not at once. */
export function unmerged(state: SectionNodeState, snapshots: readonly SnapshotRoot[]): Flow {
  const { ending } = state;
  if (ending === null || !ending.merging.has(setId(snapshots))) return flow(state);
  const merging = new Map(ending.merging);
  merging.delete(setId(snapshots));
  return flow({ ...state, ending: { ...ending, merging } });
}

/** An elder's snapshot is here and checked; a set that somebody proposed may be in sight now. */
export function snapshotHeld(
  config: SectionNodeConfig,
  state: SectionNodeState,
  elder: number,
  root: Uint8Array,
  context: Context,
): Flow {
  const { ending } = state;
  if (ending === null) return flow(state);
  const held = new Set(ending.held).add(`${elder}.${toHex(root)}`);
  const input = { kind: 'snapshotHeld', elder, root } as const;
  const next = { ...state, ending: { ...ending, held } };
  return stepEnding(config, next, { kind: 'input', input }, context);
}

/**
 * Sets of lists that this elder remembers as merged, or has merged now. Seven honest snapshots make 29
 * sets of five or more; beyond the bound the oldest result is forgotten, and merged again if it is cited.
 */
export const maxMerges = 64;

/** Has these lists merged: for our own proposal, or to judge one that somebody cites. */
export function askMerge(
  state: SectionNodeState,
  ending: Ending,
  snapshots: readonly SignedSnapshot[],
  isOwn: boolean,
): Flow {
  const id = setId(snapshots);
  const known = ending.merging.get(id);
  if (known !== undefined && (known.isOwn || !isOwn)) return flow(state);
  const merging = new Map(ending.merging);
  const results = new Map(ending.merged);
  if (known === undefined && merging.size >= maxMerges) {
    const oldest = [...merging].find(([old, each]) => results.has(old) && !each.isOwn);
    if (oldest === undefined) return flow(state);
    merging.delete(oldest[0]);
    results.delete(oldest[0]);
  }
  merging.set(id, { snapshots, isOwn });
  return flow(
    { ...state, ending: { ...ending, merging, merged: results } },
    { kind: 'output', output: { kind: 'merge', key: keyOf(ending), snapshots } },
  );
}

/** Is this peer an elder of the ending key or of one that inherits it? */
export function takesPart({ ending }: SectionNodeState, id: NodeId): boolean {
  if (ending === null) return false;
  const { authority, ledger } = ending.closing;
  const charters = ledger.phase.kind === 'open' ? [] : ledger.phase.charters;
  return [authority, ...charters].some((each) => elderIndex(each, id) > 0);
}

function handoverConfig(
  config: SectionNodeConfig,
  state: SectionNodeState,
  closing: SectionState,
): HandoverConfig {
  const { key } = closing.authority;
  const silent = isSilent(config, state, key);
  return {
    name: config.name,
    closing,
    identity: config.suites.identity,
    identitySeed: config.identitySeed,
    secretShare: silent ? null : (state.shares.get(toHex(key))?.secretShare ?? null),
    silent,
    repeatEveryMs: config.paceMs,
  };
}

const liftOf = (state: SectionNodeState): Lift<Handover, SectionNode> => {
  assert(state.ending !== null, 'effects come from an instance');
  const key = keyOf(state.ending);
  return {
    message: (message) => stamp(state, { kind: 'handover', key, message }),
    fact: (fact) => ({ kind: 'handover', key, fact }),
    fault: (fault) => ({ kind: 'handover', culprit: fault.culprit, fault }),
    timer: (timer) => `handover/${timer}`,
    job: (job) => ({ kind: 'handover', job }),
    jobPrefix: 'handover/',
  };
};
