/**
 * Proposals that cannot be validated yet (N9, N23): the cited snapshots are fetched and merged. Fetches
 * and merges are limited per voter, so a liar cannot delay the proposals of others.
 */
import type { Context } from '#core/machine.ts';
import { deferredIn, type Deferred } from '#protocol/agreement/index.ts';
import { decodeAct, type SealedSetAct, type SignedSnapshot } from '#protocol/membership/index.ts';
import { toHex } from '#core/codec/bytes.ts';
import { andThen, stepForEach } from '#core/step.ts';
import { actViewFor } from './agreement-wiring.ts';
import { stepAgreement } from './generation-driver.ts';
import { snapshotSetId } from '../handover/handover-acts.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { isDeciding } from '../recipients.ts';
import type { ActiveHandover, SectionNodeConfig, SectionNodeState } from '../state.ts';
import { requestMerge, stepHandover } from '../handover/handover-flow.ts';

/** After new data: validates again where that is now possible, and fetches what is still missing. */
export function retryDeferred(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep {
  return andThen(
    nodeStep(state),
    (now) => retryAnswerable(config, now, context),
    (now) => fetchCitedSnapshots(config, now, context),
    (now) => mergeCitedSets(now),
  );
}

const deferredOf = ({ pendingGeneration }: SectionNodeState): readonly Deferred[] =>
  isDeciding(pendingGeneration) ? deferredIn(pendingGeneration.agreement) : [];

/** Retries only proposals whose data is complete; retrying all would cost work on every change. */
function retryAnswerable(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep {
  const only = deferredOf(state)
    .map(({ proposal }) => proposal)
    .filter((proposal) => {
      const { sourceEpoch, mergedRoot } = actViewFor(state, proposal);
      return sourceEpoch !== null || mergedRoot !== null;
    });
  return only.length === 0
    ? nodeStep(state)
    : stepAgreement(config, state, { kind: 'input', input: { kind: 'retry', only } }, context);
}

interface CitedSet {
  readonly set: SealedSetAct;
  readonly voters: readonly number[];
}

const citedSets = (state: SectionNodeState): readonly CitedSet[] =>
  deferredOf(state).flatMap(({ proposal, voters }): readonly CitedSet[] => {
    const act = decodeAct(proposal);
    return act.ok && act.value.body.kind === 'sealedSet' ? [{ set: act.value.body, voters }] : [];
  });

const isHeld = ({ heldSnapshots }: ActiveHandover, { elder, root }: SignedSnapshot): boolean =>
  heldSnapshots.has(`${elder}.${toHex(root)}`);

/**
 * For each voter, one missing snapshot per elder at a time. An honest voter holds every snapshot it
 * cites, so its fetches succeed in turn; a snapshot that no elder holds blocks only the citing liar.
 */
function fetchCitedSnapshots(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep {
  const { activeHandover } = state;
  if (activeHandover === null) return nodeStep(state);
  const slots = new Map<string, SignedSnapshot>();
  for (const { set, voters } of citedSets(state)) {
    for (const snapshot of set.snapshots) {
      if (isHeld(activeHandover, snapshot)) continue;
      for (const voter of voters) {
        const slot = `${voter}/${snapshot.elder}`;
        if (!slots.has(slot)) slots.set(slot, snapshot);
      }
    }
  }
  const missing = new Map(
    [...slots.values()].map((each) => [`${each.elder}.${toHex(each.root)}`, each]),
  );
  const snapshots = [...missing.values()];
  return stepHandover(
    config,
    state,
    { kind: 'input', input: { kind: 'snapshotsReferenced', snapshots } },
    context,
  );
}

/** One merge at a time for each voter. */
function mergeCitedSets(state: SectionNodeState): NodeStep {
  const { activeHandover } = state;
  if (activeHandover === null) return nodeStep(state);
  const sets = citedSets(state);
  const isInProgress = ({ set }: CitedSet): boolean => {
    const id = snapshotSetId(set.snapshots);
    return activeHandover.requestedMerges.has(id) && !activeHandover.mergedRoots.has(id);
  };
  const busy = new Set(sets.filter(isInProgress).flatMap(({ voters }) => voters));
  const due = sets.filter((each) => {
    const { set, voters } = each;
    if (activeHandover.requestedMerges.has(snapshotSetId(set.snapshots))) return false;
    if (!set.snapshots.every((snapshot) => isHeld(activeHandover, snapshot))) return false;
    if (voters.length > 0 && voters.every((voter) => busy.has(voter))) return false;
    for (const voter of voters) busy.add(voter);
    return true;
  });
  return stepForEach(state, due, (now, { set }) =>
    now.activeHandover === null
      ? nodeStep(now)
      : requestMerge(now, now.activeHandover, set.snapshots, false),
  );
}
