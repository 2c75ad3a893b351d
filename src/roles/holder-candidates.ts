/** Which adults an elder asks about a name; `protocol/replication` decides which of them store it. */
import type { NodeId } from '#core/machine.ts';
import {
  adultsOf as placedAdultsOf,
  copiesWanted,
  adultsByDistance,
  noMemberFull,
  type PlacedSection,
} from '#protocol/replication/index.ts';

export { copiesWanted } from '#protocol/replication/index.ts';
/** With this many receipts a client counts a piece as stored; repair makes the last copy. */
export const copiesRequired = 3;
/** Adults with room that may be asked for one name: the four holders and the next three. */
const maxCandidates = 7;

/** Adults to read from, full ones included. */
const maxReaders = 2 * maxCandidates;

type Placed = Pick<PlacedSection, 'elders' | 'members'>;

/** Members that are not elders. */
export const adultNamesOf = (authority: Placed): readonly Uint8Array[] =>
  placedAdultsOf(authority).map(({ name }) => name);

/** Can the section take a new chunk? Not if too few adults with room are left for `copiesRequired`. */
export function hasRoom(authority: Placed, full: ReadonlySet<NodeId>): boolean {
  const adults = placedAdultsOf(authority);
  const withRoom = adults.filter(({ id }) => !full.has(id));
  return withRoom.length >= copiesRequired || withRoom.length === adults.length;
}

/** To write: adults with room, closest first by placement id (N37); the first four are holders. */
export const candidatesFor = (
  authority: Placed,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = noMemberFull,
): readonly Uint8Array[] =>
  adultsByDistance(
    placedAdultsOf(authority).filter(({ id }) => !full.has(id)),
    target,
  )
    .slice(0, maxCandidates)
    .map(({ name }) => name);

export interface Readers {
  /** Closest first. Includes full adults: they keep what they store (REPLICATION-P3). */
  readonly candidates: readonly Uint8Array[];
  /** The first `holding` candidates may store it: up to the fourth with room. A read of a version needs all their answers. */
  readonly holding: number;
}

export function readersFor(
  authority: Placed,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = noMemberFull,
): Readers {
  const candidates: Uint8Array[] = [];
  let withRoom = 0;
  let holding = 0;
  for (const { id, name } of adultsByDistance(placedAdultsOf(authority), target)) {
    if (withRoom === maxCandidates || candidates.length === maxReaders) break;
    candidates.push(name);
    if (!full.has(id)) withRoom += 1;
    if (withRoom <= copiesWanted) holding = candidates.length;
  }
  return { candidates, holding };
}
