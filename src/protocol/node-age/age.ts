/** How old a node may call itself: the last byte of its name, so a new age is a new name (A2). */
import { child, matches, type Prefix } from '#address/prefix.ts';
import { ageOf, type XorName } from '#address/xor-name.ts';
import { labelledHash } from '#crypto/hash.ts';

/** Everybody begins here, the founders too. */
export const JOIN_AGE = 5;
/** The age is one byte. */
const HIGHEST_AGE = 255;
/** More bits than the section needs, so that a split on the way does not strand the mover. */
const SPLITS_FORESEEN = 3;

/** What a move earns. */
export const rewardedAge = (age: number): number => Math.min(age + 1, HIGHEST_AGE);

/** What a misbehaving node is left with. */
export const demotedAge = (age: number): number => Math.max(JOIN_AGE, Math.floor(age / 2));

/** @returns 32 bytes: whoever covers this name takes the mover in. */
export const destinationOf = (name: XorName, churnId: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/relocation-destination', name, churnId);

/** The leading bits a mover's new name must have (A3). @param prefix the section it moves to. */
export function grindingPrefix(prefix: Prefix, destination: Uint8Array): Prefix {
  let grown = prefix;
  for (let more = 0; more < SPLITS_FORESEEN && grown.bitCount < 248; more++) {
    const bit = ((destination[grown.bitCount >> 3] ?? 0) >> (7 - (grown.bitCount & 7))) & 1;
    grown = child(grown, bit === 1 ? 1 : 0);
  }
  return grown;
}

/** Is this the name a node has been looking for? About 256·2^bits keys are tried for one. */
export const isWantedName = (prefix: Prefix, age: number, name: Uint8Array): boolean =>
  ageOf(name) === age && matches(prefix, name);
