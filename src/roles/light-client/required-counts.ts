/** How many receipts and elders' reports suffice for a light client. Pure. */
import { copiesRequired } from '../holder-candidates.ts';

/** Receipts required to treat a piece as stored: as many as the elder waits for. */
export const receiptsRequired = copiesRequired;

/** Two of seven elders may lie, so three reports contain an honest one. */
export const reportsRequired = 3;

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
