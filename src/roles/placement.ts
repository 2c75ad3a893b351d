/** Whom an elder asks about a name (network.md, "Data"); who keeps it is `protocol/replication`. */
import type { NodeId } from '#core/machine.ts';
import {
  adultsOf as placedAdultsOf,
  lineOf,
  nobodyFull,
  type PlacedSection,
} from '#protocol/replication/index.ts';

export { copiesWanted } from '#protocol/replication/index.ts';
/** With this many receipts a client counts a piece as stored; repair makes the last copy. */
export const copiesRequired = 3;
/** How many adults may be asked for one name: the holders and the next in line. */
const maxCandidates = 7;

type Placed = Pick<PlacedSection, 'elders' | 'members'>;

/** Members that are not elders. */
export const adultsOf = (authority: Placed): readonly Uint8Array[] =>
  placedAdultsOf(authority).map(({ name }) => name);

/** To write: adults with room, closest first by placement id (N37); the first four are holders. */
export const candidatesFor = (
  authority: Placed,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = nobodyFull,
): readonly Uint8Array[] =>
  namesOf(
    lineOf(
      placedAdultsOf(authority).filter(({ id }) => !full.has(id)),
      target,
    ),
  );

/** To read: also adults that are full, which keep what they have. */
export const readersFor = (authority: Placed, target: Uint8Array): readonly Uint8Array[] =>
  namesOf(lineOf(placedAdultsOf(authority), target));

const namesOf = (line: readonly { readonly name: Uint8Array }[]): readonly Uint8Array[] =>
  line.slice(0, maxCandidates).map(({ name }) => name);
