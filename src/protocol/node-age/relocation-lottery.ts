/** Which members relocate after a decision (AGE-A4–A6). */
import { ageOf, compareDistance, type XorName } from '#address/xor-name.ts';
import { labelledHash } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { JOIN_AGE } from './age.ts';
import { trailingZeroBits } from './churn-id.ts';

/** At most this many relocate at once: half the elders. */
export const maxRelocations = 3;
/**
 * No relocation leaves a section smaller: seven elders and four adults, so each chunk has four
 * holders and each elder a successor. Twice the elders would keep a half just split off, and every
 * small network, from ever ageing a node.
 */
export const minMembersAfterRelocation = 11;

/** A membership change, as the lottery sees it. */
export interface Turnover {
  /** The age of the node that joined or left. */
  readonly age: number;
}

export interface RelocationLottery {
  /** Adults that may relocate; none just admitted. */
  readonly candidates: readonly XorName[];
  /** How many members the section has. */
  readonly memberCount: number;
  readonly churnId: Uint8Array;
}

/**
 * AGE-A4: does this decision hold a lottery? Only if a node joined or left. Once half the members are
 * older than `JOIN_AGE`, joins and departures at that age do not count; otherwise an operator of
 * many such nodes could age its other nodes at will (N39).
 */
export function holdsLottery(members: readonly XorName[], turnover: readonly Turnover[]): boolean {
  const grown = members.filter((name) => ageOf(name) > JOIN_AGE).length;
  if (2 * grown < members.length) return turnover.length > 0;
  return turnover.some(({ age }) => age > JOIN_AGE);
}

/**
 * AGE-A5, AGE-A6: the oldest candidate age not above the churn id's trailing zero bits; of that age, those
 * nearest to the hashed churn id, near which no name can be ground; at most as many as may leave.
 */
export function selectRelocations({
  candidates,
  memberCount,
  churnId,
}: RelocationLottery): readonly XorName[] {
  const zeros = trailingZeroBits(churnId);
  const matching = candidates.filter((name) => ageOf(name) <= zeros);
  const oldest = Math.max(...matching.map(ageOf));
  const target = labelledHash('safe/v1/churn-order', churnId);
  return matching
    .filter((name) => ageOf(name) === oldest)
    .sort((a, b) => compareDistance(target, a, b))
    .slice(0, relocationsAllowed(memberCount));
}

/** How many members of a section this large may relocate at once. */
export const relocationsAllowed = (memberCount: number): number =>
  Math.max(
    0,
    Math.min(maxRelocations, Math.floor(ELDER_COUNT / 2), memberCount - minMembersAfterRelocation),
  );
