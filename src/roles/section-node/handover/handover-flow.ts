/**
 * Drives a handover from its decision to the first seal of the new key, at old and successor elders
 * (N19–N28). Connects `protocol/handover` to the agreement and the section tree.
 */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { lift, type Lift } from '#core/lift-effects.ts';
import type { Context, Effect, Event, NodeId } from '#core/machine.ts';
import { andThen, extend, stepForEach } from '#core/step.ts';
import {
  handover,
  type HandoverProtocol,
  type HandoverConfig,
  type HandoverFact,
  type HandoverOutput,
} from '#protocol/handover/index.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import {
  firstStateOf,
  type KeyPhase,
  type SealedState,
  type SectionState,
  type SnapshotRoot,
} from '#protocol/section/index.ts';
import { startFirstGeneration, startGeneration } from '../generation/generation-driver.ts';
import { endingKeyOf, snapshotSetId } from './handover-acts.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { proposeSoon } from '../generation/proposing.ts';
import { elderIndex, messageInSection } from '../recipients.ts';
import { mustAbstain } from '../lost-state/abstained-keys.ts';
import type { ActiveHandover, SectionNode, SectionNodeConfig, SectionNodeState } from '../state.ts';

/** For a new sealed state of this section: starts or continues the handover that its phase requires. */
export function followHandover(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  facts: readonly HandoverFact[],
  context: Context,
): NodeStep {
  const { authority, ledger } = sealed.state;
  // N27: old elders serve the sealed set until the handover machine ends it.
  if (ledger.phase.kind === 'open') return nodeStep(dropClosedSessions(state, sealed));
  const begun =
    state.activeHandover !== null && equalBytes(endingKeyOf(state.activeHandover), authority.key)
      ? nodeStep(state)
      : startHandover(config, state, sealed, ledger.phase, facts, context);
  if (ledger.phase.kind !== 'sealed') return begun;
  const input = { kind: 'sealed', state: sealed.state } as const;
  return andThen(
    begun,
    (now) => stepHandover(config, now, { kind: 'input', input }, context),
    // The link may have arrived before the state it follows.
    (now) => (now.pendingGeneration === null ? startNextKey(config, now) : nodeStep(now)),
  );
}

/** Keeps only readiness proofs of open sessions. */
function dropClosedSessions(
  state: SectionNodeState,
  { state: { ledger } }: SealedState,
): SectionNodeState {
  const open = ledger.sessions.map(({ id }) => toHex(id));
  const ready = [...state.readinessProofs].filter(([id]) =>
    open.some((session) => id.startsWith(session)),
  );
  return { ...state, readinessProofs: new Map(ready) };
}

function startHandover(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  phase: Exclude<KeyPhase, { kind: 'open' }>,
  facts: readonly HandoverFact[],
  context: Context,
): NodeStep {
  const isParticipant = [sealed.state.authority, ...phase.charters].some(
    (each) => elderIndex(each, config.self) > 0,
  );
  if (!isParticipant) return nodeStep({ ...state, activeHandover: null });
  const closingState = closingStateOf(sealed.state, phase);
  const blank: ActiveHandover = {
    closingState,
    state: null,
    proposableSets: [],
    mergedRoots: new Map(),
    heldSnapshots: new Set(),
    requestedMerges: new Map(),
    activationLink: null,
  };
  const started = handover.start(handoverConfig(config, state, closingState), facts, context);
  // Our own snapshot is held, also after a restart, when the shell does not report it again.
  const { ownSnapshot } = started.state;
  const heldSnapshots =
    ownSnapshot === null ? [] : [`${ownSnapshot.elder}.${toHex(ownSnapshot.root)}`];
  const activeHandover = { ...blank, heldSnapshots: new Set(heldSnapshots), state: started.state };
  return applyHandoverEffects(config, { ...state, activeHandover }, started.effects);
}

/** A sealed state is one generation after the closing state, whose generation the elders signed. */
function closingStateOf(
  { authority, ledger }: SectionState,
  phase: Exclude<KeyPhase, { kind: 'open' }>,
): SectionState {
  if (phase.kind === 'closing') return { authority, ledger };
  return { authority: { ...authority, generation: authority.generation - 1n }, ledger };
}

/** Feeds one event to the handover of the current or previous key. */
export function stepHandover(
  config: SectionNodeConfig,
  state: SectionNodeState,
  event: Event<HandoverProtocol>,
  context: Context,
): NodeStep {
  const { activeHandover } = state;
  if (activeHandover === null || activeHandover.state === null) return nodeStep(state);
  const stepped = handover.step(
    handoverConfig(config, state, activeHandover.closingState),
    activeHandover.state,
    event,
    context,
  );
  const next = { ...state, activeHandover: { ...activeHandover, state: stepped.state } };
  return applyHandoverEffects(config, next, stepped.effects);
}

function applyHandoverEffects(
  config: SectionNodeConfig,
  state: SectionNodeState,
  effects: readonly Effect<HandoverProtocol>[],
): NodeStep {
  let all = nodeStep(state);
  // One at a time: a later message may depend on an earlier output.
  for (const effect of effects) {
    const { effects: lifted, outputs } = lift([effect], liftOf(all.state));
    all = andThen(extend(all, {}, ...lifted), (now) =>
      stepForEach(now, outputs, (then, output) => onHandoverOutput(config, then, output)),
    );
  }
  return all;
}

function onHandoverOutput(
  config: SectionNodeConfig,
  state: SectionNodeState,
  output: HandoverOutput,
): NodeStep {
  const { activeHandover } = state;
  assert(activeHandover !== null, 'outputs come from an instance');
  const key = endingKeyOf(activeHandover);
  switch (output.kind) {
    case 'freezeMoney':
      return nodeStep(state, { kind: 'output', output: { kind: 'sealMoney', key } });
    case 'fetch':
    case 'serve':
    case 'page':
      return nodeStep(state, { kind: 'output', output: { ...output, key } });
    case 'merge':
      return requestMerge(state, activeHandover, output.snapshots, true);
    case 'propose': {
      const { snapshots, sealedRoot } = output;
      const proposableSets = [
        ...activeHandover.proposableSets,
        { kind: 'sealedSet', snapshots, sealedRoot } as const,
      ];
      return proposeSoon(config, {
        ...state,
        activeHandover: { ...activeHandover, proposableSets },
      });
    }
    case 'succeeded':
      return nodeStep(state);
    case 'eraseShare':
      return eraseShare(state, key);
    case 'activateKey':
      return startNextKey(config, {
        ...state,
        activeHandover: { ...activeHandover, activationLink: output.signed },
      });
    case 'releaseSnapshots':
      return nodeStep(state, { kind: 'output', output: { kind: 'release', key } });
  }
}

/** N18: an erased share cannot be stolen. */
function eraseShare(state: SectionNodeState, key: Uint8Array): NodeStep {
  if (!state.shares.has(toHex(key))) return nodeStep(state);
  const shares = new Map(state.shares);
  shares.delete(toHex(key));
  return nodeStep({ ...state, shares }, { kind: 'persist', fact: { kind: 'shareErased', key } });
}

/**
 * Starts this node as an elder of the next key once it has all three, in any order: the link, the sealed
 * state of the old key, and its share (N13).
 */
function startNextKey(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  const { own, activeHandover } = state;
  if (own === null || activeHandover === null || activeHandover.activationLink === null)
    return nodeStep(state);
  const { phase } = own.state.ledger;
  if (phase.kind !== 'sealed') return nodeStep(state);
  const charter = phase.charters.find((each) => elderIndex(each, config.self) > 0);
  const share = charter && state.shares.get(toHex(charter.key));
  const first = charter && firstStateOf(own.state, charter.key);
  if (share === undefined || first === undefined) return nodeStep(state);
  return startFirstGeneration(config, state, first, share);
}

/** A key share was stored, of the current key or the next one. */
export function onShareStored(
  config: SectionNodeConfig,
  state: SectionNodeState,
  key: Uint8Array,
  context: Context,
): NodeStep {
  const { own, pendingGeneration } = state;
  if (own !== null && pendingGeneration === null && equalBytes(own.state.authority.key, key)) {
    return startGeneration(config, state, own, [], context);
  }
  return pendingGeneration === null ? startNextKey(config, state) : nodeStep(state);
}

/** The shell's answer to `merge`. */
export function onMerged(
  config: SectionNodeConfig,
  state: SectionNodeState,
  snapshots: readonly SnapshotRoot[],
  root: Uint8Array,
  context: Context,
): NodeStep {
  const { activeHandover } = state;
  const request = activeHandover?.requestedMerges.get(snapshotSetId(snapshots));
  if (activeHandover === null || request === undefined) return nodeStep(state);
  const results = new Map(activeHandover.mergedRoots).set(snapshotSetId(snapshots), root);
  const next = { ...state, activeHandover: { ...activeHandover, mergedRoots: results } };
  const input = { kind: 'merged', snapshots: request.snapshots, sealedRoot: root } as const;
  return request.isOwn
    ? stepHandover(config, next, { kind: 'input', input }, context)
    : nodeStep(next);
}

/** The shell could not merge these: requested again by the next timer (`deferred-proposals.ts`). */
export function onMergeFailed(
  state: SectionNodeState,
  snapshots: readonly SnapshotRoot[],
): NodeStep {
  const { activeHandover } = state;
  if (activeHandover === null || !activeHandover.requestedMerges.has(snapshotSetId(snapshots)))
    return nodeStep(state);
  const requestedMerges = new Map(activeHandover.requestedMerges);
  requestedMerges.delete(snapshotSetId(snapshots));
  return nodeStep({ ...state, activeHandover: { ...activeHandover, requestedMerges } });
}

/** An elder's snapshot is held and verified. */
export function onSnapshotHeld(
  config: SectionNodeConfig,
  state: SectionNodeState,
  elder: number,
  root: Uint8Array,
  context: Context,
): NodeStep {
  const { activeHandover } = state;
  if (activeHandover === null) return nodeStep(state);
  const heldSnapshots = new Set(activeHandover.heldSnapshots).add(`${elder}.${toHex(root)}`);
  const input = { kind: 'snapshotHeld', elder, root } as const;
  const next = { ...state, activeHandover: { ...activeHandover, heldSnapshots } };
  return stepHandover(config, next, { kind: 'input', input }, context);
}

/**
 * Sets of snapshots merged or being merged here. Seven honest snapshots make 29 sets of five or more;
 * above the bound the oldest result is evicted, and merged again if it is cited.
 */
export const maxMerges = 64;

/** Requests a merge: for our own proposal, or to validate a cited set. */
export function requestMerge(
  state: SectionNodeState,
  ending: ActiveHandover,
  snapshots: readonly SignedSnapshot[],
  isOwn: boolean,
): NodeStep {
  const id = snapshotSetId(snapshots);
  const known = ending.requestedMerges.get(id);
  if (known !== undefined && (known.isOwn || !isOwn)) return nodeStep(state);
  const requestedMerges = new Map(ending.requestedMerges);
  const results = new Map(ending.mergedRoots);
  if (known === undefined && requestedMerges.size >= maxMerges) {
    const oldest = [...requestedMerges].find(([old, each]) => results.has(old) && !each.isOwn);
    if (oldest === undefined) return nodeStep(state);
    requestedMerges.delete(oldest[0]);
    results.delete(oldest[0]);
  }
  requestedMerges.set(id, { snapshots, isOwn });
  return nodeStep(
    { ...state, activeHandover: { ...ending, requestedMerges, mergedRoots: results } },
    { kind: 'output', output: { kind: 'merge', key: endingKeyOf(ending), snapshots } },
  );
}

/** Is this peer an elder of the ending key or of a successor key? */
export function isParticipant({ activeHandover }: SectionNodeState, id: NodeId): boolean {
  if (activeHandover === null) return false;
  const { authority, ledger } = activeHandover.closingState;
  const charters = ledger.phase.kind === 'open' ? [] : ledger.phase.charters;
  return [authority, ...charters].some((each) => elderIndex(each, id) > 0);
}

function handoverConfig(
  config: SectionNodeConfig,
  state: SectionNodeState,
  closing: SectionState,
): HandoverConfig {
  const { key } = closing.authority;
  const abstain = mustAbstain(state, key);
  return {
    name: config.name,
    closing,
    identity: config.suites.identity,
    identitySeed: config.identitySeed,
    secretShare: abstain ? null : (state.shares.get(toHex(key))?.secretShare ?? null),
    abstain,
    repeatEveryMs: config.paceMs,
  };
}

const liftOf = (state: SectionNodeState): Lift<HandoverProtocol, SectionNode> => {
  assert(state.activeHandover !== null, 'effects come from an instance');
  const key = endingKeyOf(state.activeHandover);
  return {
    message: (message) => messageInSection(state, { kind: 'handover', key, message }),
    fact: (fact) => ({ kind: 'handover', key, fact }),
    fault: (fault) => ({ kind: 'handover', culprit: fault.culprit, fault }),
    timer: () => ({ kind: 'handover' }),
    job: (job) => ({ kind: 'handover', job }),
    jobId: (id) => ({ kind: 'handover', id }),
  };
};
