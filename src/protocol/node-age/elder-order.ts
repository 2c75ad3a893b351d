/** Orders of precedence: of members for elder, and of joiners for admission. */
import { matches, type Prefix } from '#address/prefix.ts';
import { ageOf, compareDistance, nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';

/** The inputs of the elder order besides the prefix. */
export interface Ranked {
  readonly name: XorName;
  /** The generation that admitted it. */
  readonly joined: bigint;
}

/**
 * AGE-A7: the oldest first; among equals current elders, then earlier joiners, then the nearest to the
 * prefix. No two nodes are equal in all four.
 */
export function elderOrder<M extends Ranked>(
  members: readonly M[],
  currentElders: readonly XorName[],
  prefix: Prefix,
): readonly M[] {
  const elders = new Set(currentElders.map(nameToId));
  const isElder = (member: M): number => (elders.has(nameToId(member.name)) ? 1 : 0);
  return members
    .filter(({ name }) => matches(prefix, name))
    .sort(
      (a, b) =>
        ageOf(b.name) - ageOf(a.name) ||
        isElder(b) - isElder(a) ||
        (a.joined < b.joined ? -1 : a.joined > b.joined ? 1 : 0) ||
        compareDistance(prefix.bits, a.name, b.name),
    );
}

/**
 * @returns the names that should be elders of `prefix`, sorted; fewer than seven if too few match.
 */
export const elderCandidates = (
  members: readonly Ranked[],
  currentElders: readonly XorName[],
  prefix: Prefix,
): readonly XorName[] =>
  elderOrder(members, currentElders, prefix)
    .slice(0, ELDER_COUNT)
    .map(({ name }) => name)
    .sort(compareBytes);

/**
 * AGE-A8: the order in which joiners get vacancies, by randomness drawn only after their names were
 * ground (N39).
 * @param churnId of the generation before the one that admits them.
 */
export function rankJoiners(names: readonly XorName[], churnId: Uint8Array): readonly XorName[] {
  const ranked = names.map((name) => ({ name, rank: joinRank(name, churnId) }));
  return ranked.sort((a, b) => compareBytes(a.rank, b.rank)).map(({ name }) => name);
}

/** @returns 32 bytes; the lowest goes first. */
export const joinRank = (name: XorName, churnId: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/join-rank', name, churnId);
