/**
 * Lists of sealed entries on disk, by their root: snapshots of a key that ends and what they were
 * merged to (R6). A list is here when its last page is; what a crash left half written is not.
 */
import { Reader, Writer, toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor, ownItems } from '#core/codec/cbor.ts';
import { bytesOf, bytesUpTo, intBetween, listOf, record, type Shape } from '#core/codec/shape.ts';
import { maxSealedSiblings } from '#money/sealed.ts';
import {
  decodeSealedEntry,
  entriesRoot,
  maxSealedEntryBytes,
  openSealedPage,
  sealedPages,
  type SealedEntry,
  type SealedPage,
} from '#money/snapshot.ts';
import type { FactStore } from '#storage/node/facts.ts';

/** How far a list has come: the number of the page that is lacking, and where it begins. */
export interface ListProgress {
  readonly page: number;
  readonly start: number;
  /** The entry before it. */
  readonly last: SealedEntry | null;
}

export interface SealedLists {
  /** Resolves with the root when the whole list would survive a power cut. */
  readonly keep: (entries: readonly SealedEntry[]) => Promise<Uint8Array>;
  /** Null when it is not here whole. */
  readonly load: (root: Uint8Array) => Promise<readonly SealedEntry[] | null>;
  readonly has: (root: Uint8Array) => Promise<boolean>;
  readonly page: (root: Uint8Array, page: number) => Promise<SealedPage | null>;
  /** Pages of a list that is being fetched: verified, one after the other, on disk as they come. */
  readonly progress: (root: Uint8Array) => Promise<ListProgress>;
  readonly keepPage: (root: Uint8Array, page: number, value: SealedPage) => Promise<void>;
  /** Its last page is here: the list is. */
  readonly finish: (root: Uint8Array, pages: number) => Promise<void>;
  /** Deletes a list; the empty one stays, since every idle epoch has it. */
  readonly drop: (root: Uint8Array) => Promise<void>;
}

const listMachine = 'sealed-lists';
const pagesOf = (root: Uint8Array): string => `sealed-pages/${toHex(root)}`;
/** A page of the smallest entries, some 200 bytes each, has fewer. */
const maxEntriesPerPage = 4096;
const place = intBetween(0, 2 ** 32 - 1);
const pageShape: Shape<SealedPage> = record({
  start: place,
  count: place,
  siblings: listOf(bytesOf(32), 2 * maxSealedSiblings),
  entries: listOf(bytesUpTo(maxSealedEntryBytes), maxEntriesPerPage),
});
const emptyRoot = toHex(entriesRoot([]));

export function openSealedLists(facts: FactStore): SealedLists {
  /** How many pages a whole list has; null when it is not here. */
  const countOf = async (root: Uint8Array): Promise<number | null> => {
    const [bytes] = await facts.load(listMachine, toHex(root));
    return bytes === undefined ? null : new Reader(bytes).u32();
  };

  const readPage = async (root: Uint8Array, page: number): Promise<SealedPage | null> => {
    const [bytes] = await facts.load(pagesOf(root), String(page));
    const value = bytes === undefined ? undefined : decodeCbor(bytes, ownItems);
    return value?.ok === true ? (pageShape(value.value) ?? null) : null;
  };

  const writePage = (root: Uint8Array, page: number, value: SealedPage): Promise<void> => {
    const { start, count, siblings, entries } = value;
    const bytes = encodeCbor({ start, count, siblings, entries });
    return facts.append(pagesOf(root), String(page), bytes);
  };
  const finish = (root: Uint8Array, pages: number): Promise<void> =>
    facts.append(listMachine, toHex(root), new Writer().u32(pages).finish());

  return {
    keep: async (entries) => {
      const root = entriesRoot(entries);
      if ((await countOf(root)) !== null) return root;
      const pages = sealedPages(entries);
      // A root has one list and a list one division into pages: what is there already is right.
      const written = new Set(await facts.keys(pagesOf(root)));
      for (const [number, page] of pages.entries()) {
        if (written.has(String(number))) continue;
        await writePage(root, number, page);
      }
      await finish(root, pages.length);
      return root;
    },
    load: async (root) => {
      const count = await countOf(root);
      if (count === null) return null;
      const entries: SealedEntry[] = [];
      for (let number = 0; number < count; number++) {
        const page = await readPage(root, number);
        // Page by page, so that the node does other things between them.
        const opened = page?.start === entries.length ? openSealedPage(root, page) : undefined;
        if (page === null || opened?.ok !== true) return null;
        for (const entry of opened.value) entries.push(entry);
        if (number + 1 === count && entries.length !== page.count) return null;
      }
      return entries;
    },
    has: async (root) => (await countOf(root)) !== null,
    page: async (root, page) => {
      const pages = await countOf(root);
      return pages === null || page >= pages ? null : readPage(root, page);
    },
    progress: async (root) => {
      const written = new Set(await facts.keys(pagesOf(root)));
      let page = 0;
      while (written.has(String(page))) page += 1;
      const before = page === 0 ? null : await readPage(root, page - 1);
      const last = before === null ? undefined : before.entries.at(-1);
      const entry = last === undefined ? undefined : decodeSealedEntry(last);
      if (before === null || entry?.ok !== true) return { page: 0, start: 0, last: null };
      return { page, start: before.start + before.entries.length, last: entry.value };
    },
    keepPage: async (root, page, value) => {
      await writePage(root, page, value);
    },
    finish: async (root, pages) => {
      if ((await countOf(root)) === null) await finish(root, pages);
    },
    drop: async (root) => {
      if (toHex(root) === emptyRoot) return;
      await facts.erase(listMachine, toHex(root));
      await facts.eraseAll(pagesOf(root));
    },
  };
}
