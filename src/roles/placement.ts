/**
 * Who keeps what: the adults closest to a name (network.md, "Data"). Placement ids (N37) come
 * with membership decisions; until then a member is placed by its name.
 */
import { closest, nameToId } from '#address/xor-name.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';

/** Copies of every chunk and pointer record. */
export const copiesWanted = 4;
/** With this many receipts a client counts a piece as stored; repair makes the last copy. */
export const copiesRequired = 3;
/** How many adults may be asked for one name: the holders and the next in line. */
const maxCandidates = 7;

/** Members that are not elders. */
export function adultsOf(
  authority: Pick<SectionAuthority, 'elders' | 'members'>,
): readonly Uint8Array[] {
  const elders = new Set(authority.elders.map(({ name }) => nameToId(name)));
  return authority.members.map(({ name }) => name).filter((name) => !elders.has(nameToId(name)));
}

/** The adults to ask for `target`, closest first: the first four are its holders. */
export const candidatesFor = (
  authority: Pick<SectionAuthority, 'elders' | 'members'>,
  target: Uint8Array,
): readonly Uint8Array[] => closest(adultsOf(authority), target, maxCandidates);
