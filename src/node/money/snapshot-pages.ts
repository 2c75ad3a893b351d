/**
 * The stored pages of snapshot lists, by root. Each sender may divide a list differently, and this node
 * does as `provenPages`: a fetch continues from fetched pages, and pages of the other division only
 * replace unreadable ones. A page's key is the position it begins at.
 */
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor, unlimitedItems } from '#core/codec/cbor.ts';
import { bytesOf, bytesUpTo, intBetween, listOf, record, type Shape } from '#core/codec/shape.ts';
import { maxProofSiblings } from '#money/inclusion-proof.ts';
import {
  decodeSnapshotEntry,
  maxSnapshotEntryBytes,
  verifyPage,
  restOfPage,
  type SnapshotEntry,
  type ProvenPage,
} from '#money/snapshot.ts';
import type { FactStore } from '#storage/node/facts.ts';

/** The state of a fetched list: `start` is the position of the first missing entry. */
export interface SnapshotProgress {
  readonly start: number;
  /** The entry before it. */
  readonly last: SnapshotEntry | null;
  /** The number of entries of the list; null before its first page. */
  readonly count: number | null;
}

export const origins = ['own', 'fetched'] as const;
export type PageOrigin = (typeof origins)[number];

/** More than fit into a page of the smallest entries, some 200 bytes each. */
const maxEntriesPerPage = 4096;
const position = intBetween(0, 2 ** 32 - 1);
const pageShape: Shape<ProvenPage> = record({
  start: position,
  count: position,
  siblings: listOf(bytesOf(32), 2 * maxProofSiblings),
  entries: listOf(bytesUpTo(maxSnapshotEntryBytes), maxEntriesPerPage),
});
const machineOf = (root: Uint8Array, origin: PageOrigin): string =>
  origin === 'own' ? `sealed-pages/${toHex(root)}` : `sealed-fetched/${toHex(root)}`;
const noProgress: SnapshotProgress = { start: 0, last: null, count: null };

type SnapshotPages = ReturnType<typeof openSnapshotPages>;

export function openSnapshotPages(facts: FactStore) {
  const read = async (
    root: Uint8Array,
    origin: PageOrigin,
    start: number,
  ): Promise<ProvenPage | null> => {
    const [bytes] = await facts.load(machineOf(root, origin), String(start));
    const value = bytes === undefined ? undefined : decodeCbor(bytes, unlimitedItems);
    return value?.ok === true ? (pageShape(value.value) ?? null) : null;
  };
  const startsOf = async (root: Uint8Array, origin: PageOrigin): Promise<readonly number[]> =>
    (await facts.keys(machineOf(root, origin))).map(Number);
  const erase = (root: Uint8Array, origin: PageOrigin, start: number): Promise<void> =>
    facts.erase(machineOf(root, origin), String(start));
  return {
    read,
    startsOf,
    /** The rest of the stored page that contains this position. */
    rest: async (
      root: Uint8Array,
      origin: PageOrigin,
      start: number,
    ): Promise<ProvenPage | null> => {
      const before = (await startsOf(root, origin)).filter((each) => each < start);
      const holding = before.length === 0 ? null : await read(root, origin, Math.max(...before));
      return holding && restOfPage(holding, start);
    },
    /** Writes a page, replacing an unreadable one; a readable one stays. */
    put: async (root: Uint8Array, origin: PageOrigin, page: ProvenPage): Promise<void> => {
      const { start, count, siblings, entries } = page;
      if ((await startsOf(root, origin)).includes(start)) {
        if (isVerified(root, await read(root, origin, start), start)) return;
        await erase(root, origin, start);
      }
      const bytes = encodeCbor({ start, count, siblings, entries });
      await facts.append(machineOf(root, origin), String(start), bytes);
    },
    eraseUnreadable: async (root: Uint8Array, origin: PageOrigin, start: number): Promise<void> => {
      const page = await read(root, origin, start);
      if (page !== null && !isVerified(root, page, start)) await erase(root, origin, start);
    },
    eraseAll: async (root: Uint8Array): Promise<void> => {
      for (const origin of origins) await facts.eraseAll(machineOf(root, origin));
    },
  };
}

/** A page that verifies and begins at this position, or the rest of one that contains it. */
export async function verifiedPage(
  pages: SnapshotPages,
  root: Uint8Array,
  start: number,
): Promise<ProvenPage | null> {
  for (const origin of origins) {
    const exact = await pages.read(root, origin, start);
    if (isVerified(root, exact, start)) return exact;
    const rest = await pages.rest(root, origin, start);
    if (isVerified(root, rest, start)) return rest;
  }
  return null;
}

/** The entries of a complete list; null if some are unreadable. */
export async function readEntries(
  pages: SnapshotPages,
  root: Uint8Array,
  { origin, count }: { readonly origin: PageOrigin; readonly count: number },
): Promise<readonly SnapshotEntry[] | null> {
  const entries: SnapshotEntry[] = [];
  do {
    const start = entries.length;
    const exact = await pages.read(root, origin, start);
    // Page by page, so that the node can do other work in between.
    const page = isVerified(root, exact, start) ? exact : await verifiedPage(pages, root, start);
    const opened = page === null ? undefined : verifyPage(root, page);
    if (opened?.ok !== true || page?.count !== count) return null;
    for (const entry of opened.value) entries.push(entry);
  } while (entries.length < count);
  return entries;
}

/** Follows verified pages from a position as far as they are contiguous. */
export async function verifiedUpTo(
  pages: SnapshotPages,
  root: Uint8Array,
  from = noProgress,
): Promise<SnapshotProgress> {
  let at = from;
  while (at.start !== at.count) {
    const page = await verifiedPage(pages, root, at.start);
    const next = page === null ? noProgress : progressAfter(page);
    if (next.last === null) break;
    at = next;
  }
  return at;
}

/** The progress after the last fetched page: pages are stored in order. */
export async function fetchedUpTo(
  pages: SnapshotPages,
  root: Uint8Array,
): Promise<SnapshotProgress> {
  const starts = await pages.startsOf(root, 'fetched');
  if (starts.length === 0) return noProgress;
  const page = await pages.read(root, 'fetched', Math.max(...starts));
  const progress = page === null ? noProgress : progressAfter(page);
  return progress.last === null ? verifiedUpTo(pages, root) : progress;
}

const isVerified = (root: Uint8Array, page: ProvenPage | null, start: number): boolean =>
  page?.start === start && verifyPage(root, page).ok;

/** `last` is null when the page ends with no readable entry. */
export function progressAfter({ start, count, entries }: ProvenPage): SnapshotProgress {
  const last = decodeSnapshotEntry(entries.at(-1) ?? new Uint8Array());
  return { start: start + entries.length, last: last.ok ? last.value : null, count };
}
