/**
 * Sealed lists, fetched and inherited page by page with the functions of the product. Pages are so
 * small that each list has several, and nodes divide their lists differently: the rest of a page is
 * asked for as soon as a second peer answers. What is kept in memory here is on disk in the product.
 */
import type { Prefix } from '#address/prefix.ts';
import {
  entriesAscend,
  openSealedPage,
  restOfPage,
  sealedPages,
  type SealedEntry,
  type SealedPage,
} from '#money/snapshot.ts';
import {
  addPage,
  inheritPage,
  type Inheritance,
  type SnapshotPage,
} from '#protocol/handover/index.ts';
import type { Registration } from '#protocol/mint/index.ts';
import type { InheritedSlot } from '#protocol/spentbook/index.ts';

/** Everything one sealed epoch wrote, in order. */
export interface SealedArchive {
  readonly epoch: bigint;
  readonly sealedRoot: Uint8Array;
  readonly entries: readonly SealedEntry[];
}

/** A mutant replaces one of these. */
export interface PageParts {
  readonly openPage: typeof openSealedPage;
  readonly restOfPage: typeof restOfPage;
  readonly inheritPage: typeof inheritPage;
  readonly addPage: typeof addPage;
}

export const honestPages: PageParts = {
  openPage: openSealedPage,
  restOfPage,
  inheritPage,
  addPage,
};

const pageSizes = [3_000, 4_000, 5_500];

/** How big the pages of this node are: one, two or three entries and more. */
export const pageBytesOf = (id: string): number =>
  pageSizes[(id.charCodeAt(0) + id.charCodeAt(1)) % pageSizes.length] ?? 3_000;

// Pure, and dear: hashes of a whole list for each page that is asked for.
const divided = new WeakMap<readonly SealedEntry[], Map<number, readonly SealedPage[]>>();

function pagesOf(entries: readonly SealedEntry[], maxBytes: number): readonly SealedPage[] {
  const bySize = divided.get(entries) ?? new Map<number, readonly SealedPage[]>();
  divided.set(entries, bySize);
  const pages = bySize.get(maxBytes) ?? sealedPages(entries, maxBytes);
  bySize.set(maxBytes, pages);
  return pages;
}

/** The page that begins at this place, or what is left of the one that holds it. */
export function pageAt(
  entries: readonly SealedEntry[],
  start: number,
  maxBytes: number,
  parts: PageParts,
): SealedPage | null {
  const pages = pagesOf(entries, maxBytes);
  const holding = pages.findLast((page) => page.start <= start);
  if (holding === undefined || holding.start === start) return holding ?? null;
  return parts.restOfPage(holding, start);
}

/** What came of a list so far. */
export interface Grown {
  readonly entries: readonly SealedEntry[];
  readonly isWhole: boolean;
}

/** @returns null for a page that does not belong next. */
export function withPage(
  grown: Grown | undefined,
  page: SnapshotPage,
  parts: PageParts,
): Grown | null {
  const before = grown?.entries ?? [];
  if (page.start !== before.length) return null;
  const opened = parts.openPage(page.root, page);
  if (!opened.ok) return null;
  if (!entriesAscend([...before.slice(-1), ...opened.value.slice(0, 1)])) return null;
  const entries = [...before, ...opened.value];
  return { entries, isWhole: entries.length >= page.count };
}

/** What a key begins with. @param archives every epoch before it, oldest first. */
export function inheritArchives(
  archives: readonly SealedArchive[],
  prefix: Prefix,
  parts: PageParts,
): Inheritance {
  const slots = new Map<string, InheritedSlot>();
  const outputs = new Map<string, Registration>();
  for (const { epoch, sealedRoot, entries } of archives) {
    for (const page of pagesOf(entries, pageSizes[0] ?? 0)) {
      const inherited = parts.inheritPage(sealedRoot, page, prefix);
      if (!inherited.ok) throw new Error(`N34: an archive of ours is ${inherited.error}`);
      parts.addPage(slots, outputs, epoch, inherited.value);
    }
  }
  return { slots, outputs };
}
