/** Which elder a light client asks, and when it has heard enough. Pure. */
import { compareDistance } from '#address/xor-name.ts';

/** Receipts with which a piece counts as stored; the section repairs the fourth copy. */
export const receiptsRequired = 3;

/** Two of seven elders may lie, so no fewer decide what is there. */
export const reportsRequired = 3;

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
 * Is one honest report among these? An elder cannot forge a record, but it can show an old one, or
 * none. A report with neither a record nor three holders that have none counts for neither side, or
 * one liar could keep a new Safe from its first write.
 * @param reports without copies whose signature is wrong: the caller has dropped them
 */
export const tellsEnough = (reports: readonly CopiesReport[]): boolean =>
  reports.filter((report) => report.copies.some(isRecord) || holdersIn(report) >= receiptsRequired)
    .length >= reportsRequired;

/** Is the record surely not there? One copy anywhere outweighs all reports. */
export const surelyAbsent = (reports: readonly CopiesReport[]): boolean =>
  tellsEnough(reports) && !reports.some(({ copies }) => copies.some(isRecord));

const isRecord = ({ record }: CopiesReport['copies'][number]): boolean => record !== null;

const holdersIn = ({ copies }: CopiesReport): number =>
  new Set(copies.map(({ holder }) => holder.join())).size;
