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
  readonly keepPage: (root: Uint8Array, value: SealedPage) => Promise<void>;
  /** Its last page is here: the list is. @param count of its entries. */
  readonly finish: (root: Uint8Array, count: number) => Promise<void>;
  /** What of a list cannot be read is as good as not here: it can be fetched again, the empty one is made again. */
  readonly renew: (root: Uint8Array) => Promise<void>;
  /** Deletes a list; the empty one stays, since every idle epoch has it. */
  readonly drop: (root: Uint8Array) => Promise<void>;
}

const listMachine = 'sealed-lists';
/**
 * Who sends a list divides it as it likes, this node as `sealedPages` does: the two divisions of one
 * list stay apart, or there would be holes between them. The key of a page is the place it begins at.
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

export function openSealedLists(facts: FactStore): SealedLists {
  /** How many entries a whole list has, and whose pages they are in; null when it is not here. */
  const find = async (
    root: Uint8Array,
  ): Promise<{ readonly count: number; readonly source: Source } | null> => {
    const [bytes] = await facts.load(listMachine, toHex(root));
    if (bytes === undefined) return null;
    const reader = new Reader(bytes);
    const count = reader.u32();
    const source = sources[reader.u8()];
    return source !== undefined && reader.finish() ? { count, source } : null;
  };

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

  const keep = async (entries: readonly SealedEntry[]): Promise<Uint8Array> => {
    const root = entriesRoot(entries);
    if ((await find(root)) !== null) return root;
    // A root has one list and a list one division of ours: what is there already is right.
    const written = new Set(await startsOf(root, 'own'));
    for (const page of sealedPages(entries)) {
      if (!written.has(page.start)) await writePage(root, 'own', page);
    }
    await finish(root, 'own', entries.length);
    return root;
  };
  const erase = async (root: Uint8Array): Promise<void> => {
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
        const page = await readPage(root, found.source, entries.length);
        // Page by page, so that the node does other things between them.
        const opened = page?.start === entries.length ? openSealedPage(root, page) : undefined;
        if (opened?.ok !== true || page?.count !== found.count) return null;
        for (const entry of opened.value) entries.push(entry);
      } while (entries.length < found.count);
      return entries;
    },
    has: async (root) => (await find(root)) !== null,
    page: async (root, start) => {
      const found = await find(root);
      if (found === null || start >= Math.max(found.count, 1)) return null;
      const exact = await readPage(root, found.source, start);
      if (exact !== null) return exact;
      const before = (await startsOf(root, found.source)).filter((each) => each < start);
      const holding = await readPage(root, found.source, Math.max(0, ...before));
      return holding && restOfPage(holding, start);
    },
    progress: async (root) => {
      // One page follows the other, so the last one shows how far they reach.
      const starts = await startsOf(root, 'fetched');
      const page =
        starts.length === 0 ? null : await readPage(root, 'fetched', Math.max(...starts));
      const last = page?.entries.at(-1);
      const entry = last === undefined ? undefined : decodeSealedEntry(last);
      if (page === null || entry?.ok !== true) return { start: 0, last: null, count: null };
      const { start, count, entries } = page;
      return { start: start + entries.length, last: entry.value, count };
    },
    keepPage: (root, page) => writePage(root, 'fetched', page),
    finish: async (root, count) => {
      if ((await find(root)) === null) await finish(root, 'fetched', count);
    },
    drop: async (root) => {
      if (toHex(root) !== emptyRoot) await erase(root);
    },
    renew: async (root) => {
      await erase(root);
      if (toHex(root) === emptyRoot) await keep([]);
    },
  };
}
