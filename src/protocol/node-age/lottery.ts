/** Who has to move after a decision (A4–A6). */
import { ageOf, compareDistance, type XorName } from '#address/xor-name.ts';
import { labelledHash } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { JOIN_AGE } from './age.ts';
import { trailingZeroBits } from './churn.ts';

/** At most so many move at once: half the elders. */
export const maxMovers = 3;
/**
 * No move takes a section below this: seven elders and four adults, so each chunk still finds its
 * four holders and each elder a successor. Twice the elders, as is sometimes said, would keep a
 * half just split off, and every small network, from ever ageing anybody.
 */
export const leastMembersAfterMove = 11;

/** A membership change, as far as chance is concerned. */
export interface Turnover {
  /** The age of the node that came or went. */
  readonly age: number;
}

export interface Lottery {
  /** Whose lots are in the urn: adults that may move, none of them just admitted. */
  readonly candidates: readonly XorName[];
  /** How many members the section has. */
  readonly memberCount: number;
  readonly churnId: Uint8Array;
}

/**
 * A4: does this decision draw lots at all? Only where somebody came or went. Once half the members
 * are older than a beginner, beginners coming and going move nobody: else whoever runs many of
 * them ages its other nodes at will (N39).
 */
export function drawsLots(members: readonly XorName[], turnover: readonly Turnover[]): boolean {
  const grown = members.filter((name) => ageOf(name) > JOIN_AGE).length;
  if (2 * grown < members.length) return turnover.length > 0;
  return turnover.some(({ age }) => age > JOIN_AGE);
}

/**
 * A5, A6: the oldest age for which the churn id ends in so many zero bits and somebody has it; the
 * nearest to the hashed churn id first, which nobody can grind a name for; as many as may go.
 */
export function drawMovers({ candidates, memberCount, churnId }: Lottery): readonly XorName[] {
  const zeros = trailingZeroBits(churnId);
  const matching = candidates.filter((name) => ageOf(name) <= zeros);
  const oldest = Math.max(...matching.map(ageOf));
  const target = labelledHash('safe/v1/churn-order', churnId);
  return matching
    .filter((name) => ageOf(name) === oldest)
    .sort((a, b) => compareDistance(target, a, b))
    .slice(0, moversAllowed(memberCount));
}

/** How many may move out of so many members at once. */
export const moversAllowed = (memberCount: number): number =>
  Math.max(
    0,
    Math.min(maxMovers, Math.floor(ELDER_COUNT / 2), memberCount - leastMembersAfterMove),
  );
