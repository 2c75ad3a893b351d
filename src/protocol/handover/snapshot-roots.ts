/** Decides which money snapshots of the old elders are signed, held and merged (N22, N23). */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { snapshotsRequired } from '#money/snapshot.ts';
import { snapshotBytes, type SignedSnapshot } from '#protocol/membership/index.ts';
import { inheritDue } from './activation.ts';
import { handoverStep, type HandoverEffects, type HandoverStep } from './handover-step.ts';
import { oldElderId, oldElders, selfAsOldElder, snapshotHolders } from './participants.ts';
import { emptyProgress, sendToPeers } from './send-progress.ts';
import type { HandoverConfig, HandoverProtocol, HandoverState } from './state.ts';

/** One list of each of seven elders, for each of seven voters. */
const maxReferencedSnapshots = 49;

/**
 * N22: the root is signed once this key has stopped signing money; a second root would be
 * equivocation.
 */
export function onMoneyFrozen(
  config: HandoverConfig,
  state: HandoverState,
  root: Uint8Array,
): HandoverStep {
  const self = selfAsOldElder(config);
  if (self === undefined || state.ownSnapshot !== null) return unchanged(state);
  const bytes = snapshotBytes(config.closing, self.index, root);
  const signature = config.identity.sign(config.identitySeed, bytes);
  const snapshot: SignedSnapshot = { elder: self.index, root, signature };
  const next = {
    ...state,
    ownSnapshot: snapshot,
    roots: new Map(state.roots).set(self.index, snapshot),
    heldSnapshots: new Set(state.heldSnapshots).add(self.index),
  };
  return andThen(
    handoverStep(
      next,
      { kind: 'persist', fact: { kind: 'snapshotSigned', snapshot } },
      ...sendToPeers(config, { ...emptyProgress, roots: [snapshot] }),
    ),
    mergeDue,
    (now) => inheritDue(config, now),
  );
}

export function onRoot(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  root: SignedSnapshot,
): HandoverStep {
  const known = state.roots.get(root.elder);
  if (known !== undefined && equalBytes(known.root, root.root)) return unchanged(state);
  const elder = oldElders(config).find(({ index }) => index === root.elder);
  if (elder === undefined || !isSigned(config, root)) {
    return { state, effects: [{ kind: 'blame', fault: { kind: 'badRoot', culprit: from } }] };
  }
  if (known !== undefined) return reportRootEquivocation(config, state, known, root);
  const roots = new Map(state.roots).set(root.elder, root);
  const wanted = selfAsOldElder(config) !== undefined && state.chosenRecord === null;
  return { state: { ...state, roots }, effects: wanted ? [fetchSnapshot(config, root)] : [] };
}

/**
 * A sealed set may cite any root an elder signed, also one shown only to others. The role names at
 * most one list per elder and voter; lists it no longer names are no longer fetched.
 */
export function onReferenced(
  config: HandoverConfig,
  before: HandoverState,
  snapshots: readonly SignedSnapshot[],
): HandoverStep {
  if (selfAsOldElder(config) === undefined || before.chosenRecord !== null)
    return unchanged(before);
  let state: HandoverState = { ...before, referencedSnapshots: new Map() };
  const effects: Effect<HandoverProtocol>[] = [];
  for (const snapshot of snapshots.slice(0, maxReferencedSnapshots)) {
    const { elder, root } = snapshot;
    const id = snapshotId(snapshot);
    const known = state.roots.get(elder);
    if (known !== undefined && state.heldSnapshots.has(elder) && equalBytes(known.root, root))
      continue;
    const isNew = !before.referencedSnapshots.has(id);
    if (isNew && !isSigned(config, snapshot)) continue;
    const other =
      known ?? [...state.referencedSnapshots.values()].find((each) => each.elder === elder);
    if (other !== undefined && !equalBytes(other.root, root)) {
      const shown = reportRootEquivocation(config, state, other, snapshot);
      state = shown.state;
      effects.push(...shown.effects);
    }
    state = { ...state, referencedSnapshots: new Map(state.referencedSnapshots).set(id, snapshot) };
    if (isNew) effects.push(fetchSnapshot(config, snapshot));
  }
  return { state, effects };
}

/** N23: this snapshot is here and checked. */
export function onListHeld(
  state: HandoverState,
  snapshot: Pick<SignedSnapshot, 'elder' | 'root'>,
): HandoverStep {
  const referencedSnapshots = new Map(state.referencedSnapshots);
  referencedSnapshots.delete(snapshotId(snapshot));
  const known = state.roots.get(snapshot.elder);
  if (known === undefined || !equalBytes(known.root, snapshot.root)) {
    return unchanged({ ...state, referencedSnapshots });
  }
  const heldSnapshots = new Set(state.heldSnapshots).add(snapshot.elder);
  return mergeDue({ ...state, referencedSnapshots, heldSnapshots });
}

/** N23: merges five snapshots that are held and checked. */
export function mergeDue(state: HandoverState): HandoverStep {
  if (state.proposed || state.chosenRecord !== null) return unchanged(state);
  const snapshots = [...state.roots.values()]
    .filter(({ elder }) => state.heldSnapshots.has(elder) && !state.rootEquivocators.has(elder))
    .sort((a, b) => a.elder - b.elder);
  if (snapshots.length < snapshotsRequired) return unchanged(state);
  return { state, effects: [{ kind: 'output', output: { kind: 'merge', snapshots } }] };
}

/** Requests the snapshots that are signed or cited, and not held. */
export const fetchMissing = (config: HandoverConfig, state: HandoverState): HandoverEffects =>
  [
    ...[...state.roots.values()].filter(({ elder }) => !state.heldSnapshots.has(elder)),
    ...state.referencedSnapshots.values(),
  ].map((snapshot) => fetchSnapshot(config, snapshot));

const fetchSnapshot = (
  config: HandoverConfig,
  { root, elder }: SignedSnapshot,
): Effect<HandoverProtocol> => ({
  kind: 'output',
  output: { kind: 'fetch', root, elder, from: snapshotHolders(config, elder) },
});

/** An elder that signed two roots is left out of our own set, wherever the second one appeared. */
function reportRootEquivocation(
  config: HandoverConfig,
  state: HandoverState,
  first: SignedSnapshot,
  second: SignedSnapshot,
): HandoverStep {
  if (state.rootEquivocators.has(first.elder)) return unchanged(state);
  const rootEquivocators = new Set(state.rootEquivocators).add(first.elder);
  const culprit = oldElderId(config, first.elder);
  const fault = { kind: 'rootEquivocation', culprit, roots: [first, second] } as const;
  return { state: { ...state, rootEquivocators }, effects: [{ kind: 'blame', fault }] };
}

function isSigned(config: HandoverConfig, { elder, root, signature }: SignedSnapshot): boolean {
  const name = oldElders(config).find(({ index }) => index === elder)?.name;
  const bytes = snapshotBytes(config.closing, elder, root);
  return name !== undefined && config.identity.verify(name, bytes, signature);
}

const snapshotId = ({ elder, root }: Pick<SignedSnapshot, 'elder' | 'root'>): string =>
  `${elder}.${toHex(root)}`;
