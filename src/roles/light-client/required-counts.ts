/** Which elders a light client asks, and when their reports suffice. Pure. */
import { compareDistance } from '#address/xor-name.ts';

/** Receipts required to treat a piece as stored; the section repairs the fourth copy. */
export const receiptsRequired = 3;

/** Two of seven elders may lie, so three reports contain an honest one. */
export const reportsRequired = 3;

/** Elders in the order in which to ask for a name: the closest first. */
export function eldersFor<T extends { readonly name: Uint8Array }>(
  elders: readonly T[],
  target: Uint8Array,
): readonly T[] {
  return [...elders].sort((a, b) => compareDistance(target, a.name, b.name));
}

/** One elder's report on the copies of a pointer record. */
export interface CopiesReport {
  readonly copies: readonly { readonly holder: Uint8Array; readonly record: Uint8Array | null }[];
}

/**
 * Is one honest report among these? An elder cannot forge a record, but it can return an old one or
 * none. A report counts only with a record or with three holders that have none; otherwise one liar
 * could block the first write of a new Safe.
 * @param reports the caller has dropped copies with a wrong signature
 */
export const hasEnoughReports = (reports: readonly CopiesReport[]): boolean =>
  reports.filter((report) => report.copies.some(isRecord) || holdersIn(report) >= receiptsRequired)
    .length >= reportsRequired;

/** Is the record absent? One copy outweighs all reports. */
export const isProvenAbsent = (reports: readonly CopiesReport[]): boolean =>
  hasEnoughReports(reports) && !reports.some(({ copies }) => copies.some(isRecord));

const isRecord = ({ record }: CopiesReport['copies'][number]): boolean => record !== null;

const holdersIn = ({ copies }: CopiesReport): number =>
  new Set(copies.map(({ holder }) => holder.join())).size;
