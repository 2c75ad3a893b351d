/** Where a relocated node goes, and the name it needs there. */
import { child, matches, type Prefix } from '#address/prefix.ts';
import { ageOf, type XorName } from '#address/xor-name.ts';
import { labelledHash } from '#crypto/hash.ts';

/** Bits beyond the section's prefix, so a split meanwhile does not invalidate the new name. */
const SPLITS_FORESEEN = 3;

/** @returns 32 bytes: the section that covers this name admits the relocating node. */
export const relocationDestination = (name: XorName, churnId: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/relocation-destination', name, churnId);

/** The leading bits of a relocating node's new name (AGE-A3). @param prefix of the new section. */
export function grindingPrefix(prefix: Prefix, destination: Uint8Array): Prefix {
  let grown = prefix;
  for (let more = 0; more < SPLITS_FORESEEN && grown.bitCount < 248; more++) {
    const bit = ((destination[grown.bitCount >> 3] ?? 0) >> (7 - (grown.bitCount & 7))) & 1;
    grown = child(grown, bit === 1 ? 1 : 0);
  }
  return grown;
}

/** Does a ground name fit? One in about 256·2^bits keys does. */
export const matchesGrindingPrefix = (prefix: Prefix, age: number, name: Uint8Array): boolean =>
  ageOf(name) === age && matches(prefix, name);
