/**
 * When an elder wants join places because disks are full (N39). An adult's report of its own disk is
 * checked by nobody, and adults are not bounded by two liars; so it takes a share of them, and what was
 * opened has to last for a while. Pure: looks are counted, no clock is read.
 */
import type { NodeId } from '#core/machine.ts';

/** Places wanted at once: room for one replacement of every holder. */
export const placesInNeed = 4;
/** At least so many adults must report a full disk… */
export const leastFull = 2;
/** …and one in so many of all. */
export const oneFullIn = 3;
/** Looks between two openings: with one in five seconds ten minutes. */
export const looksBetweenOpenings = 120;

export interface StorageNeed {
  /** Looks before places may be wanted again. */
  readonly rest: number;
}

export const noStorageNeed: StorageNeed = { rest: 0 };

/** @returns the need after this look, and how many places to open now, or null. */
export function lookAtStorage(
  { rest }: StorageNeed,
  adults: readonly NodeId[],
  full: ReadonlySet<NodeId>,
): readonly [StorageNeed, number | null] {
  if (rest > 0) return [{ rest: rest - 1 }, null];
  const reported = adults.filter((id) => full.has(id)).length;
  const isNeeded = reported >= leastFull && oneFullIn * reported >= adults.length;
  return isNeeded ? [{ rest: looksBetweenOpenings }, placesInNeed] : [{ rest: 0 }, null];
}
