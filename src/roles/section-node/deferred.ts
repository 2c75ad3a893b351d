/**
 * Proposals that could not be judged yet (N9, N23): what each of them needs is fetched and merged for
 * whoever cites it. Every voter has places of its own here, so no liar keeps another one's waiting.
 */
import type { Context } from '#core/machine.ts';
import { deferredIn, type Deferred } from '#protocol/agreement/index.ts';
import { decodeAct, type SealedSet, type SignedSnapshot } from '#protocol/membership/index.ts';
import { toHex } from '#core/codec/bytes.ts';
import { stepAgreement, viewFor } from './desk.ts';
import { setId } from './endings.ts';
import { flow, forEach, inOrder, type Flow } from './flow.ts';
import { decides } from './peers.ts';
import type { Ending, SectionNodeConfig, SectionNodeState } from './state.ts';
import { askMerge, stepEnding } from './succession.ts';

/** Something became known: judges again what can be judged now, and seeks what still cannot. */
export function settleDeferred(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): Flow {
  return inOrder(
    state,
    (now) => retryReady(config, now, context),
    (now) => seekSnapshots(config, now, context),
    (now) => seekMerges(now),
  );
}

const deferredOf = ({ desk }: SectionNodeState): readonly Deferred[] =>
  decides(desk) ? deferredIn(desk.agreement) : [];

/** Only what has its answer now: judging everything again each time would be work without end. */
function retryReady(config: SectionNodeConfig, state: SectionNodeState, context: Context): Flow {
  const only = deferredOf(state)
    .map(({ proposal }) => proposal)
    .filter((proposal) => {
      const { sourceEpoch, mergedRoot } = viewFor(state, proposal);
      return sourceEpoch !== null || mergedRoot !== null;
    });
  return only.length === 0
    ? flow(state)
    : stepAgreement(config, state, { kind: 'input', input: { kind: 'retry', only } }, context);
}

interface CitedSet {
  readonly set: SealedSet;
  readonly voters: readonly number[];
}

const citedSets = (state: SectionNodeState): readonly CitedSet[] =>
  deferredOf(state).flatMap(({ proposal, voters }): readonly CitedSet[] => {
    const act = decodeAct(proposal);
    return act.ok && act.value.body.kind === 'sealedSet' ? [{ set: act.value.body, voters }] : [];
  });

const isHeld = ({ held }: Ending, { elder, root }: SignedSnapshot): boolean =>
  held.has(`${elder}.${toHex(root)}`);

/**
 * For each voter one missing list of each elder. What an honest voter cites it holds itself, so one
 * after the other comes; what a liar cites and nobody has keeps only the liar's own places.
 */
function seekSnapshots(config: SectionNodeConfig, state: SectionNodeState, context: Context): Flow {
  const { ending } = state;
  if (ending === null) return flow(state);
  const places = new Map<string, SignedSnapshot>();
  for (const { set, voters } of citedSets(state)) {
    for (const snapshot of set.snapshots) {
      if (isHeld(ending, snapshot)) continue;
      for (const voter of voters) {
        const place = `${voter}/${snapshot.elder}`;
        if (!places.has(place)) places.set(place, snapshot);
      }
    }
  }
  const wanted = new Map(
    [...places.values()].map((each) => [`${each.elder}.${toHex(each.root)}`, each]),
  );
  const snapshots = [...wanted.values()];
  return stepEnding(config, state, { kind: 'input', input: { kind: 'cited', snapshots } }, context);
}

/** For each voter one merge at a time. */
function seekMerges(state: SectionNodeState): Flow {
  const { ending } = state;
  if (ending === null) return flow(state);
  const sets = citedSets(state);
  const isUnderWay = ({ set }: CitedSet): boolean => {
    const id = setId(set.snapshots);
    return ending.merging.has(id) && !ending.merged.has(id);
  };
  const busy = new Set(sets.filter(isUnderWay).flatMap(({ voters }) => voters));
  const due = sets.filter((each) => {
    const { set, voters } = each;
    if (ending.merging.has(setId(set.snapshots))) return false;
    if (!set.snapshots.every((snapshot) => isHeld(ending, snapshot))) return false;
    if (voters.length > 0 && voters.every((voter) => busy.has(voter))) return false;
    for (const voter of voters) busy.add(voter);
    return true;
  });
  return forEach(state, due, (now, { set }) =>
    now.ending === null ? flow(now) : askMerge(now, now.ending, set.snapshots, false),
  );
}
