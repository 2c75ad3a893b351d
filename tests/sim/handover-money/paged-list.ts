/**
 * Sealed lists, fetched and inherited page by page with the functions of the product. Pages are so
 * small that each list has several, and nodes divide their lists differently: the rest of a page is
 * requested as soon as a second peer answers. The product keeps on disk what is in memory here.
 */
import type { Prefix } from '#address/prefix.ts';
import {
  areEntriesSorted,
  verifyPage,
  restOfPage,
  provenPages,
  type SnapshotEntry,
  type ProvenPage,
} from '#money/snapshot.ts';
import {
  addPage,
  inheritPage,
  type Inheritance,
  type SnapshotPage,
} from '#protocol/handover/index.ts';
import type { Registration } from '#protocol/mint/index.ts';
import type { InheritedSlot } from '#protocol/spentbook/index.ts';

/** All entries of one sealed epoch, in order. */
export interface SealedArchive {
  readonly epoch: bigint;
  readonly sealedRoot: Uint8Array;
  readonly entries: readonly SnapshotEntry[];
}

/** A mutant replaces one of these. */
export interface PageParts {
  readonly openPage: typeof verifyPage;
  readonly restOfPage: typeof restOfPage;
  readonly inheritPage: typeof inheritPage;
  readonly addPage: typeof addPage;
}

export const honestPageParts: PageParts = {
  openPage: verifyPage,
  restOfPage,
  inheritPage,
  addPage,
};

const pageSizes = [3_000, 4_000, 5_500];

/** Page size of this node, in bytes: one, two, or three and more entries. */
export const pageBytesOf = (id: string): number =>
  pageSizes[(id.charCodeAt(0) + id.charCodeAt(1)) % pageSizes.length] ?? 3_000;

// Pure and expensive: each requested page needs the hashes of a whole list.
const pagesByList = new WeakMap<readonly SnapshotEntry[], Map<number, readonly ProvenPage[]>>();

function pagesOf(entries: readonly SnapshotEntry[], maxBytes: number): readonly ProvenPage[] {
  const bySize = pagesByList.get(entries) ?? new Map<number, readonly ProvenPage[]>();
  pagesByList.set(entries, bySize);
  const pages = bySize.get(maxBytes) ?? provenPages(entries, maxBytes);
  bySize.set(maxBytes, pages);
  return pages;
}

/** The page that begins at this position, or the rest of the page that contains it. */
export function pageAt(
  entries: readonly SnapshotEntry[],
  start: number,
  maxBytes: number,
  parts: PageParts,
): ProvenPage | null {
  const pages = pagesOf(entries, maxBytes);
  const holding = pages.findLast((page) => page.start <= start);
  if (holding === undefined || holding.start === start) return holding ?? null;
  return parts.restOfPage(holding, start);
}

/** The entries of a list received so far. */
export interface PartialList {
  readonly entries: readonly SnapshotEntry[];
  readonly isComplete: boolean;
}

/** @returns null for a page that does not belong next. */
export function withPage(
  grown: PartialList | undefined,
  page: SnapshotPage,
  parts: PageParts,
): PartialList | null {
  const before = grown?.entries ?? [];
  if (page.start !== before.length) return null;
  const opened = parts.openPage(page.root, page);
  if (!opened.ok) return null;
  if (!areEntriesSorted([...before.slice(-1), ...opened.value.slice(0, 1)])) return null;
  const entries = [...before, ...opened.value];
  return { entries, isComplete: entries.length >= page.count };
}

/** The inheritance of a key. @param archives every epoch before it, oldest first. */
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
