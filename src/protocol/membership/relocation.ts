/**
 * Which members relocate, and when. The lottery may select at any time, but a selected member moves
 * only when no key generation needs it to stay. A name in both `relocating` and the members is
 * waiting; a name in `relocating` alone has left and gets its relocation certificate (MEMBERSHIP-B10).
 */
import { ageOf, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { relocationsAllowed } from '#protocol/node-age/index.ts';
import type { RelocationDetails, SectionState } from '#protocol/section/index.ts';
import { removeMember, withLedger, type Progress } from './progress.ts';
import { maxRelocating, type SectionRules } from './rules.ts';
import { adultsIn, isCandidate, isSelectedToRelocate, isElder, isMember } from './state-queries.ts';

/** Selects adults only, no new members, and no candidates of a key generation (AGE-A5). */
export function drawRelocations(rules: SectionRules, state: SectionState): Progress {
  const { authority, ledger } = state;
  const waiting = ledger.relocating.filter(({ name }) => isMember(state, name)).length;
  const candidates = adultsIn(state)
    .filter(({ joined }) => joined < authority.generation)
    .map(({ name }) => name)
    .filter((name) => !isSelectedToRelocate(state, name) && !isCandidate(state, name));
  const memberCount = authority.members.length - waiting;
  const drawn = rules.selectRelocations({ candidates, memberCount, churnId: ledger.churnId });
  const entries = drawn.map((name) =>
    relocationFor(rules, state, name, rules.rewardedAge(ageOf(name)), 'reward'),
  );
  return {
    state: withRelocating(state, [...ledger.relocating, ...entries]),
    effects: drawn.map((name) => ({ kind: 'selectedToRelocate', name })),
  };
}

/**
 * Selected members move, earliest first, up to the limit (AGE-A6). Elders stay and lose their
 * selection.
 */
export function startDueRelocations(rules: SectionRules, state: SectionState): Progress {
  if (!rules.mayRelocateNow(state)) return { state, effects: [] };
  const due = state.ledger.relocating.filter(({ name }) => isSelectedToRelocate(state, name));
  const going = due
    .filter(({ name }) => !isElder(state, name))
    .slice(0, relocationsAllowed(state.authority.members.length));
  const staying = state.ledger.relocating.filter(
    ({ name }) => !isMember(state, name) || !isElder(state, name),
  );
  const begin = withRelocating(state, staying);
  return {
    state: going.reduce((now, entry) => moveOut(now, entry), begin),
    effects: going.map(({ name, age }) => ({ kind: 'movedOut', name, age })),
  };
}

/** Immediately: a demotion is also a removal. */
export function relocateNow(
  rules: SectionRules,
  state: SectionState,
  name: XorName,
  age: number,
  reason: RelocationDetails['reason'],
): Progress {
  return {
    state: moveOut(state, relocationFor(rules, state, name, age, reason)),
    effects: [{ kind: 'movedOut', name, age }],
  };
}

/**
 * MEMBERSHIP-B12: the key that decided a relocation or the next one certifies it, so entries older than the
 * closing key are dropped. Waiting members stay listed.
 */
export function dropExpiredRelocations(state: SectionState): SectionState {
  const { activated, relocating } = state.ledger;
  return withRelocating(
    state,
    relocating.filter(({ name, generation }) => isMember(state, name) || generation >= activated),
  );
}

const relocationFor = (
  rules: SectionRules,
  { authority, ledger }: SectionState,
  name: XorName,
  age: number,
  reason: RelocationDetails['reason'],
): RelocationDetails => ({
  name,
  age,
  destination: rules.destinationOf(name, ledger.churnId),
  generation: authority.generation,
  reason,
});

function moveOut(state: SectionState, entry: RelocationDetails): SectionState {
  const gone = removeMember(state, entry.name);
  return withRelocating(gone, [...gone.ledger.relocating, entry]);
}

/** Over the limit, evicts the oldest entry of a node that left, else the newest that waits. */
function withRelocating(
  state: SectionState,
  relocating: readonly RelocationDetails[],
): SectionState {
  if (relocating.length <= maxRelocating) return withLedger(state, { relocating });
  const gone = relocating.find(({ name }) => !isMember(state, name));
  const out = gone ?? relocating[relocating.length - 1];
  const rest = relocating.filter(({ name }) => out === undefined || !equalBytes(name, out.name));
  return withRelocating(state, rest);
}
