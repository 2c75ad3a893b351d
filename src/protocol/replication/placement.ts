/**
 * Who keeps what: pure functions over section authorities. A name's holders are the four adults
 * whose placement ids are closest to it (N37), members that reported a full disk passed over.
 */
import { matches } from '#address/prefix.ts';
import { compareDistance, nameToId } from '#address/xor-name.ts';
import type { Prefix } from '#address/prefix.ts';
import type { NodeId } from '#core/machine.ts';

/** Copies of every chunk and pointer record. */
export const copiesWanted = 4;

/** What placement needs of a section authority. */
export interface PlacedSection {
  readonly prefix: Prefix;
  readonly key: Uint8Array;
  readonly generation: bigint;
  readonly elders: readonly { readonly name: Uint8Array }[];
  readonly members: readonly PlacedMember[];
}

export interface PlacedMember {
  readonly name: Uint8Array;
  /** 32 bytes: hash of the name and the chance of the decision that admitted it (N37). */
  readonly placement: Uint8Array;
}

/** A member that keeps data. */
export interface Adult {
  readonly id: NodeId;
  readonly name: Uint8Array;
  readonly placement: Uint8Array;
}

export const nobodyFull: ReadonlySet<NodeId> = new Set();

/** Members that are not elders. */
export function adultsOf(section: Pick<PlacedSection, 'elders' | 'members'>): readonly Adult[] {
  const elders = new Set(section.elders.map(({ name }) => nameToId(name)));
  return section.members
    .map(({ name, placement }) => ({ id: nameToId(name), name, placement }))
    .filter(({ id }) => !elders.has(id));
}

/** All adults, closest to `target` first. P1: by placement id, never by the name itself. */
export const lineOf = (adults: readonly Adult[], target: Uint8Array): readonly Adult[] =>
  [...adults].sort((a, b) => compareDistance(target, a.placement, b.placement));

/** The adults that have to keep `target`: the four closest that have room, closest first (P2). */
export const holdersAmong = (
  adults: readonly Adult[],
  target: Uint8Array,
  full: ReadonlySet<NodeId>,
): readonly Adult[] =>
  lineOf(
    adults.filter(({ id }) => !full.has(id)),
    target,
  ).slice(0, copiesWanted);

export const holdersOf = (
  section: Pick<PlacedSection, 'elders' | 'members'>,
  target: Uint8Array,
  full: ReadonlySet<NodeId> = nobodyFull,
): readonly Adult[] => holdersAmong(adultsOf(section), target, full);

/**
 * May this adult keep `target`? True for the four holders, and for a full adult that is as close
 * as they are: what it has it keeps, but nobody waits for it to take more (P3).
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

/** Of these names, those that `self` has to keep now and did not have to keep before. */
export function neededBy<Name extends Uint8Array>(
  before: PlacedSection | null,
  after: PlacedSection,
  names: readonly Name[],
  self: Uint8Array,
  full: ReadonlySet<NodeId> = nobodyFull,
): readonly Name[] {
  const id = nameToId(self);
  const adultsBefore = before === null ? [] : adultsOf(before);
  const adultsAfter = adultsOf(after);
  return names.filter((name) => {
    if (full.has(id) || !matches(after.prefix, name)) return false;
    if (!isHolder(adultsAfter, name, id, full)) return false;
    const covered = before !== null && matches(before.prefix, name);
    return !covered || !isHolder(adultsBefore, name, id, full);
  });
}
