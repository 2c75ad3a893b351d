/**
 * Lists of sealed entries on disk, by their root: snapshots of a key that ends and what they were
 * merged to (R6). A list is here when its last page is; what a crash left half written is not.
 */
import { Reader, Writer, toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import { bytesUpTo, listOf } from '#core/codec/shape.ts';
import {
  entriesOfPages,
  entriesRoot,
  maxSealedEntryBytes,
  snapshotPages,
  type SealedEntry,
} from '#money/snapshot.ts';
import type { FactStore } from '#storage/node/facts.ts';

export interface SealedLists {
  /** Resolves with the root when the whole list would survive a power cut. */
  readonly keep: (entries: readonly SealedEntry[]) => Promise<Uint8Array>;
  /** Null when it is not here whole. */
  readonly load: (root: Uint8Array) => Promise<readonly SealedEntry[] | null>;
  readonly has: (root: Uint8Array) => Promise<boolean>;
  readonly page: (
    root: Uint8Array,
    page: number,
  ) => Promise<{ readonly pages: number; readonly entries: readonly Uint8Array[] } | null>;
  /** Deletes a list; the empty one stays, since every idle epoch has it. */
  readonly drop: (root: Uint8Array) => Promise<void>;
}

const listMachine = 'sealed-lists';
const pagesOf = (root: Uint8Array): string => `sealed-pages/${toHex(root)}`;
/** A page of the smallest entries, some 200 bytes each, has fewer. */
const maxEntriesPerPage = 4096;
const pageShape = listOf(bytesUpTo(maxSealedEntryBytes), maxEntriesPerPage);
const emptyRoot = toHex(entriesRoot([]));

export function openSealedLists(facts: FactStore): SealedLists {
  /** How many pages a whole list has; null when it is not here. */
  const countOf = async (root: Uint8Array): Promise<number | null> => {
    const [bytes] = await facts.load(listMachine, toHex(root));
    return bytes === undefined ? null : new Reader(bytes).u32();
  };

  const readPage = async (
    root: Uint8Array,
    page: number,
  ): Promise<readonly Uint8Array[] | null> => {
    const [bytes] = await facts.load(pagesOf(root), String(page));
    const value = bytes === undefined ? undefined : decodeCbor(bytes);
    return value?.ok === true ? (pageShape(value.value) ?? null) : null;
  };

  return {
    keep: async (entries) => {
      const root = entriesRoot(entries);
      if ((await countOf(root)) !== null) return root;
      const pages = snapshotPages(entries);
      // A root has one list and a list one division into pages: what is there already is right.
      const written = new Set(await facts.keys(pagesOf(root)));
      for (const [number, page] of pages.entries()) {
        if (written.has(String(number))) continue;
        await facts.append(pagesOf(root), String(number), encodeCbor(page));
      }
      await facts.append(listMachine, toHex(root), new Writer().u32(pages.length).finish());
      return root;
    },
    load: async (root) => {
      const count = await countOf(root);
      if (count === null) return null;
      const pages: (readonly Uint8Array[])[] = [];
      for (let number = 0; number < count; number++) {
        pages.push((await readPage(root, number)) ?? []);
      }
      const entries = entriesOfPages(root, pages);
      return entries.ok ? entries.value : null;
    },
    has: async (root) => (await countOf(root)) !== null,
    page: async (root, page) => {
      const pages = await countOf(root);
      const entries = pages === null || page >= pages ? null : await readPage(root, page);
      return pages === null || entries === null ? null : { pages, entries };
    },
    drop: async (root) => {
      if (toHex(root) === emptyRoot) return;
      await facts.erase(listMachine, toHex(root));
      await facts.eraseAll(pagesOf(root));
    },
  };
}
