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
  restOfPage,
  sealedPages,
  type SealedEntry,
  type SealedPage,
} from '#money/snapshot.ts';
import type { FactStore } from '#storage/node/facts.ts';

/** How far a list has come: the place of the entry that is lacking. */
export interface ListProgress {
  readonly start: number;
  /** The entry before it. */
  readonly last: SealedEntry | null;
  /** How many entries the list has; null while no page of it is here. */
  readonly count: number | null;
}

export interface SealedLists {
  /** Resolves with the root when the whole list would survive a power cut. */
  readonly keep: (entries: readonly SealedEntry[]) => Promise<Uint8Array>;
  /** Null when it is not here whole. */
  readonly load: (root: Uint8Array) => Promise<readonly SealedEntry[] | null>;
  readonly has: (root: Uint8Array) => Promise<boolean>;
  /** The page that begins at this place, or what is left of the one that holds it. */
  readonly page: (root: Uint8Array, start: number) => Promise<SealedPage | null>;
  /** Pages of a list that is being fetched: verified, one after the other, on disk as they come. */
  readonly progress: (root: Uint8Array) => Promise<ListProgress>;
  /** Resolves with what is lacking next: further on than this page where later ones are here. */
  readonly keepPage: (root: Uint8Array, value: SealedPage) => Promise<ListProgress>;
  /** Its last page is here: the list is. @param count of its entries. */
  readonly finish: (root: Uint8Array, count: number) => Promise<void>;
  /**
   * A list with unreadable pages is not here until these were fetched again; the other pages stay and are
   * served. The empty list is made again.
   */
  readonly renew: (root: Uint8Array) => Promise<void>;
  /** Deletes a list; the empty one stays, since every idle epoch has it. */
  readonly drop: (root: Uint8Array) => Promise<void>;
}

const listMachine = 'sealed-lists';
/**
 * Who sends a list divides it as it likes, this node as `sealedPages` does: a fetch goes on from pages
 * that were fetched, and pages of the other division only fill in for such as cannot be read. The key of
 * a page is the place it begins at.
 */
const sources = ['own', 'fetched'] as const;
type Source = (typeof sources)[number];
const pagesOf = (root: Uint8Array, source: Source): string =>
  source === 'own' ? `sealed-pages/${toHex(root)}` : `sealed-fetched/${toHex(root)}`;
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
const nothing: ListProgress = { start: 0, last: null, count: null };

export function openSealedLists(facts: FactStore): SealedLists {
  /** How many entries a whole list has, and whose pages they are in; null when it is not here. */
  const find = async (
    root: Uint8Array,
  ): Promise<{ readonly count: number; readonly source: Source } | null> => {
    for (const bytes of await facts.load(listMachine, toHex(root))) {
      const reader = new Reader(bytes);
      const count = reader.u32();
      const source = sources[reader.u8()];
      if (source !== undefined && reader.finish()) return { count, source };
    }
    return null;
  };
  /** Hex of whole lists with pages that cannot be read, until these are here again. */
  const damaged = new Set<string>();

  const readPage = async (
    root: Uint8Array,
    source: Source,
    start: number,
  ): Promise<SealedPage | null> => {
    const [bytes] = await facts.load(pagesOf(root, source), String(start));
    const value = bytes === undefined ? undefined : decodeCbor(bytes, ownItems);
    return value?.ok === true ? (pageShape(value.value) ?? null) : null;
  };
  const startsOf = async (root: Uint8Array, source: Source): Promise<readonly number[]> =>
    (await facts.keys(pagesOf(root, source))).map(Number);

  const writePage = (root: Uint8Array, source: Source, page: SealedPage): Promise<void> => {
    const { start, count, siblings, entries } = page;
    const bytes = encodeCbor({ start, count, siblings, entries });
    return facts.append(pagesOf(root, source), String(start), bytes);
  };
  const finish = (root: Uint8Array, source: Source, count: number): Promise<void> =>
    facts.append(
      listMachine,
      toHex(root),
      new Writer().u32(count).u8(sources.indexOf(source)).finish(),
    );

  const isProven = (root: Uint8Array, page: SealedPage | null, start: number): boolean =>
    page?.start === start && openSealedPage(root, page).ok;

  /** A page that proves itself and begins at this place, or the rest of one that does. */
  const provenAt = async (root: Uint8Array, start: number): Promise<SealedPage | null> => {
    for (const source of sources) {
      const exact = await readPage(root, source, start);
      if (isProven(root, exact, start)) return exact;
      const before = (await startsOf(root, source)).filter((each) => each < start);
      if (before.length === 0) continue;
      const holding = await readPage(root, source, Math.max(...before));
      const rest = holding && restOfPage(holding, start);
      if (isProven(root, rest, start)) return rest;
    }
    return null;
  };
  /** How far pages that prove themselves follow each other from a place on. */
  const reach = async (root: Uint8Array, from: ListProgress): Promise<ListProgress> => {
    let at = from;
    while (at.start !== at.count) {
      const page = await provenAt(root, at.start);
      const last = page?.entries.at(-1);
      const entry = last === undefined ? undefined : decodeSealedEntry(last);
      if (page === null || entry?.ok !== true) break;
      const { start, count, entries } = page;
      at = { start: start + entries.length, last: entry.value, count };
    }
    return at;
  };
  /** Writes a page in place of one that cannot be read; one that can stays. */
  const putPage = async (root: Uint8Array, source: Source, page: SealedPage): Promise<void> => {
    const starts = await startsOf(root, source);
    if (starts.includes(page.start)) {
      if (isProven(root, await readPage(root, source, page.start), page.start)) return;
      await facts.erase(pagesOf(root, source), String(page.start));
    }
    await writePage(root, source, page);
  };
  /** All its pages are here. */
  const mark = async (root: Uint8Array, source: Source, count: number): Promise<void> => {
    // Of a damaged list the mark may be wrong too.
    if (damaged.has(toHex(root))) await facts.erase(listMachine, toHex(root));
    if ((await find(root)) === null) await finish(root, source, count);
    damaged.delete(toHex(root));
  };

  const keep = async (entries: readonly SealedEntry[]): Promise<Uint8Array> => {
    const root = entriesRoot(entries);
    if ((await find(root)) !== null && !damaged.has(toHex(root))) return root;
    for (const page of sealedPages(entries)) await putPage(root, 'own', page);
    await mark(root, 'own', entries.length);
    return root;
  };
  const erase = async (root: Uint8Array): Promise<void> => {
    damaged.delete(toHex(root));
    await facts.erase(listMachine, toHex(root));
    for (const source of sources) await facts.eraseAll(pagesOf(root, source));
  };

  return {
    keep,
    load: async (root) => {
      const found = await find(root);
      if (found === null) return null;
      const entries: SealedEntry[] = [];
      do {
        const start = entries.length;
        const exact = await readPage(root, found.source, start);
        // Page by page, so that the node does other things between them.
        const page = isProven(root, exact, start) ? exact : await provenAt(root, start);
        const opened = page === null ? undefined : openSealedPage(root, page);
        if (opened?.ok !== true || page?.count !== found.count) return null;
        for (const entry of opened.value) entries.push(entry);
      } while (entries.length < found.count);
      return entries;
    },
    has: async (root) => !damaged.has(toHex(root)) && (await find(root)) !== null,
    page: async (root, start) => {
      const found = await find(root);
      if (found === null || start >= Math.max(found.count, 1)) return null;
      const exact = await readPage(root, found.source, start);
      if (exact !== null) return exact;
      const before = (await startsOf(root, found.source)).filter((each) => each < start);
      const holding = await readPage(root, found.source, Math.max(0, ...before));
      return (holding && restOfPage(holding, start)) ?? provenAt(root, start);
    },
    progress: async (root) => {
      if (damaged.has(toHex(root))) return reach(root, nothing);
      // One page follows the other, so the last one shows how far they reach.
      const starts = await startsOf(root, 'fetched');
      const page =
        starts.length === 0 ? null : await readPage(root, 'fetched', Math.max(...starts));
      const last = page?.entries.at(-1);
      const entry = last === undefined ? undefined : decodeSealedEntry(last);
      if (starts.length > 0 && entry?.ok !== true) return reach(root, nothing);
      if (page === null || entry?.ok !== true) return nothing;
      const { start, count, entries } = page;
      return { start: start + entries.length, last: entry.value, count };
    },
    keepPage: async (root, page) => {
      const { start, count, entries } = page;
      const own = await readPage(root, 'own', start);
      if (own !== null && !isProven(root, own, start)) {
        await facts.erase(pagesOf(root, 'own'), String(start));
      }
      await putPage(root, 'fetched', page);
      const last = decodeSealedEntry(entries.at(-1) ?? new Uint8Array());
      const next = { start: start + entries.length, last: last.ok ? last.value : null, count };
      return damaged.has(toHex(root)) ? reach(root, next) : next;
    },
    finish: (root, count) => mark(root, 'fetched', count),
    drop: async (root) => {
      if (toHex(root) !== emptyRoot) await erase(root);
    },
    renew: async (root) => {
      if (toHex(root) === emptyRoot) {
        await erase(root);
        await keep([]);
        return;
      }
      const found = await find(root);
      if (found === null) return;
      const { start, count } = await reach(root, nothing);
      if (start !== found.count || count !== found.count) damaged.add(toHex(root));
    },
  };
}
