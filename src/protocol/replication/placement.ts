/**
 * Data placement: pure functions over section authorities. A name's holders are the four adults
 * whose placement ids are closest to it (N37), without members that reported a full disk.
 */
import { compareDistance, nameToId } from '#address/xor-name.ts';
import type { Prefix } from '#address/prefix.ts';
import type { NodeId } from '#core/machine.ts';

/** Copies of every chunk and pointer record. */
export const copiesWanted = 4;

/** The parts of a section authority that placement uses. */
export interface PlacedSection {
  readonly prefix: Prefix;
  readonly key: Uint8Array;
  readonly generation: bigint;
  readonly elders: readonly { readonly name: Uint8Array }[];
  readonly members: readonly PlacedMember[];
}

export interface PlacedMember {
  readonly name: Uint8Array;
  /** 32 bytes: hash of the name and the churn id of the decision that admitted it (N37). */
  readonly placement: Uint8Array;
}

/** A member that stores data. */
export interface Adult {
  readonly id: NodeId;
  readonly name: Uint8Array;
  readonly placement: Uint8Array;
}

export const noMemberFull: ReadonlySet<NodeId> = new Set();

/** Members that are not elders. */
export function adultsOf(section: Pick<PlacedSection, 'elders' | 'members'>): readonly Adult[] {
  const elders = new Set(section.elders.map(({ name }) => nameToId(name)));
  return section.members
    .map(({ name, placement }) => ({ id: nameToId(name), name, placement }))
    .filter(({ id }) => !elders.has(id));
}

/** All adults, closest to `target` first. REPLICATION-P1: by placement id, never by the name itself. */
export const adultsByDistance = (adults: readonly Adult[], target: Uint8Array): readonly Adult[] =>
  [...adults].sort((a, b) => compareDistance(target, a.placement, b.placement));

/** The adults that must store `target`: the four closest with room, closest first (REPLICATION-P2). */
export const holdersAmong = (
  adults: readonly Adult[],
  target: Uint8Array,
  full: ReadonlySet<NodeId>,
): readonly Adult[] =>
  adultsByDistance(
    adults.filter(({ id }) => !full.has(id)),
    target,
  ).slice(0, copiesWanted);

export const holdersOf = (
  section: Pick<PlacedSection, 'elders' | 'members'>,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = noMemberFull,
): readonly Adult[] => holdersAmong(adultsOf(section), target, full);

/**
 * May this adult store `target`? True for the four holders, and for a full adult as close as they
 * are: it keeps its copies, but is not expected to take more (REPLICATION-P3).
 */
export function isHolder(
  adults: readonly Adult[],
  target: Uint8Array,
  id: NodeId,
  full: ReadonlySet<NodeId>,
): boolean {
  const self = adults.find((adult) => adult.id === id);
  if (self === undefined) return false;
  let closer = 0;
  for (const adult of adults) {
    if (adult === self || full.has(adult.id)) continue;
    if (compareDistance(target, adult.placement, self.placement) < 0) closer += 1;
    if (closer === copiesWanted) return false;
  }
  return true;
}
