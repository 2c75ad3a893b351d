/** When a section splits, when it replaces elders, and with which candidates (N25). */
import { child, matches, samePrefix, type Prefix } from '#address/prefix.ts';
import { ageOf } from '#address/xor-name.ts';
import { elderCandidates } from '#protocol/node-age/index.ts';
import { type DkgSession, ELDER_COUNT, type SectionState } from '#protocol/section/index.ts';
import {
  adultsIn,
  isSelectedToRelocate,
  lostElders,
  presentElders,
  sameNames,
} from './state-queries.ts';

/** Members in each half of a split: twice the elders. */
export const minMembersPerHalf = 14;
/** Generations before an older adult is a reason to replace the key (N25). */
const generationsBeforeReplacement = 8n;

/** The children of one key generation. */
export type KeygenPlan = DkgSession['children'];

/**
 * N25, MEMBERSHIP-B14: the key generations this section needs, the split first. Each has seven candidates, so a
 * section never shrinks.
 */
export function keygenPlansNeeded(state: SectionState): readonly KeygenPlan[] {
  const { prefix, elders } = state.authority;
  const plans = [splitPlan(state), replacementPlan(state)].filter((plan) => plan !== undefined);
  const current = elders.map(({ name }) => name);
  return plans.filter((plan) =>
    plan.every(
      (each) =>
        each.candidates.length === ELDER_COUNT &&
        !(samePrefix(each.prefix, prefix) && sameNames(each.candidates, current)),
    ),
  );
}

function splitPlan(state: SectionState): KeygenPlan | undefined {
  const { prefix, members } = state.authority;
  if (prefix.bitCount >= 200) return undefined;
  const halves = [child(prefix, 0), child(prefix, 1)];
  const isDue = halves.every(
    (half) => members.filter(({ name }) => matches(half, name)).length >= minMembersPerHalf,
  );
  return isDue ? halves.map((half) => planFor(state, half)) : undefined;
}

function replacementPlan(state: SectionState): KeygenPlan | undefined {
  // A split also replaces elders; only a lost elder justifies a second key generation beside it.
  const isWorthIt = isSettled(state) && hasOlderAdult(state) && splitPlan(state) === undefined;
  const isDue = lostElders(state).length > 0 || isWorthIt;
  return isDue ? [planFor(state, state.authority.prefix)] : undefined;
}

/** Members selected to relocate are candidates only if there are no seven others. */
function planFor(state: SectionState, prefix: Prefix): KeygenPlan[number] {
  const { members } = state.authority;
  const staying = members.filter(({ name }) => !isSelectedToRelocate(state, name));
  const chosen = elderCandidates(staying, presentElders(state), prefix);
  const candidates =
    chosen.length === ELDER_COUNT ? chosen : elderCandidates(members, presentElders(state), prefix);
  return { prefix, candidates };
}

const isSettled = ({ authority, ledger }: SectionState): boolean =>
  authority.generation >= ledger.activated + generationsBeforeReplacement;

function hasOlderAdult(state: SectionState): boolean {
  const youngest = Math.min(...state.authority.elders.map(({ name }) => ageOf(name)));
  return adultsIn(state).some(
    ({ name }) => ageOf(name) > youngest && !isSelectedToRelocate(state, name),
  );
}
