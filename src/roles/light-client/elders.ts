/** Which elder a light client asks, and when it has heard enough. Pure. */
import { compareDistance } from '#address/xor-name.ts';

/** Receipts with which a piece counts as stored; the section repairs the fourth copy. */
export const receiptsRequired = 3;

/** Elders in the order in which to ask for a name: the closest first (network.md, "Data"). */
export function eldersFor<T extends { readonly name: Uint8Array }>(
  elders: readonly T[],
  target: Uint8Array,
): readonly T[] {
  return [...elders].sort((a, b) => compareDistance(target, a.name, b.name));
}

/** What one elder told about the copies of a pointer record. */
export interface CopiesReport {
  readonly copies: readonly { readonly holder: Uint8Array; readonly record: Uint8Array | null }[];
}

/**
 * Is the record surely not there? Two elders may lie, so three must have told, each of at least
 * three holders that have nothing; one copy anywhere outweighs them all. A report that names fewer
 * holders counts for neither side, or one liar could keep a new Safe from its first write.
 * @param reports without copies whose signature is wrong: the caller has dropped them
 */
export function surelyAbsent(reports: readonly CopiesReport[]): boolean {
  const copies = reports.flatMap((report) => report.copies);
  const convincing = reports.filter((report) => holdersIn(report) >= receiptsRequired);
  return convincing.length >= 3 && copies.every(({ record }) => record === null);
}

const holdersIn = ({ copies }: CopiesReport): number =>
  new Set(copies.map(({ holder }) => holder.join())).size;
