/**
 * When an elder wants vacancies because disks are full (N39). No elder can verify an adult's report of
 * its own disk, and more than two adults may lie; so a share of them must report, and openings are
 * limited in time. Pure: counts checks, reads no clock.
 */
import type { NodeId } from '#core/machine.ts';

/** Vacancies opened at once: one replacement for each of the four holders. */
export const vacanciesInNeed = 4;
/** Adults that must report a full disk, at least… */
export const minFullAdults = 2;
/** …and at least one adult in this many. */
export const fullAdultsDivisor = 3;
/** Checks between two openings: ten minutes, at one check every five seconds. */
export const checksBetweenOpenings = 120;

export interface StorageNeed {
  /** Checks before vacancies may be opened again. */
  readonly checksToSkip: number;
}

export const noStorageNeed: StorageNeed = { checksToSkip: 0 };

/** @returns the need after this check, and the vacancies to open now, or null. */
export function checkStorageNeed(
  { checksToSkip }: StorageNeed,
  adults: readonly NodeId[],
  full: ReadonlySet<NodeId>,
): readonly [StorageNeed, number | null] {
  if (checksToSkip > 0) return [{ checksToSkip: checksToSkip - 1 }, null];
  const reported = adults.filter((id) => full.has(id)).length;
  const isNeeded = reported >= minFullAdults && fullAdultsDivisor * reported >= adults.length;
  return isNeeded
    ? [{ checksToSkip: checksBetweenOpenings }, vacanciesInNeed]
    : [{ checksToSkip: 0 }, null];
}
