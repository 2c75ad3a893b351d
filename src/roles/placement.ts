/** Whom an elder asks about a name (network.md, "Data"); who keeps it is `protocol/replication`. */
import type { NodeId } from '#core/machine.ts';
import {
  adultsOf as placedAdultsOf,
  copiesWanted,
  lineOf,
  nobodyFull,
  type PlacedSection,
} from '#protocol/replication/index.ts';

export { copiesWanted } from '#protocol/replication/index.ts';
/** With this many receipts a client counts a piece as stored; repair makes the last copy. */
export const copiesRequired = 3;
/** How many adults with room may be asked for one name: the holders and the next in line. */
const maxCandidates = 7;

/** With full ones among them: as many again. */
const maxReaders = 2 * maxCandidates;

type Placed = Pick<PlacedSection, 'elders' | 'members'>;

/** Members that are not elders. */
export const adultsOf = (authority: Placed): readonly Uint8Array[] =>
  placedAdultsOf(authority).map(({ name }) => name);

/** Can a section take a new chunk now? Not, when full adults leave fewer than a client wants. */
export function hasRoom(authority: Placed, full: ReadonlySet<NodeId>): boolean {
  const adults = placedAdultsOf(authority);
  const withRoom = adults.filter(({ id }) => !full.has(id));
  return withRoom.length >= copiesRequired || withRoom.length === adults.length;
}

/** To write: adults with room, closest first by placement id (N37); the first four are holders. */
export const candidatesFor = (
  authority: Placed,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = nobodyFull,
): readonly Uint8Array[] =>
  lineOf(
    placedAdultsOf(authority).filter(({ id }) => !full.has(id)),
    target,
  )
    .slice(0, maxCandidates)
    .map(({ name }) => name);

export interface Readers {
  /** Closest first, full adults among them: these keep what they have (P3). */
  readonly candidates: readonly Uint8Array[];
  /** So many of them may have it: up to the fourth with room. All must be heard for a version. */
  readonly holding: number;
}

export function readersFor(
  authority: Placed,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = nobodyFull,
): Readers {
  const candidates: Uint8Array[] = [];
  let withRoom = 0;
  let holding = 0;
  for (const { id, name } of lineOf(placedAdultsOf(authority), target)) {
    if (withRoom === maxCandidates || candidates.length === maxReaders) break;
    candidates.push(name);
    if (!full.has(id)) withRoom += 1;
    if (withRoom <= copiesWanted) holding = candidates.length;
  }
  return { candidates, holding };
}
