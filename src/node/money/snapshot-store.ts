/**
 * Lists of snapshot entries on disk, by their root: snapshots of a key in handover and the merged list
 * (HANDOVER-R6). A list counts as stored once its completion mark is written, after its last page.
 */
import { Reader, Writer, toHex } from '#core/codec/bytes.ts';
import { snapshotRoot, provenPages, type SnapshotEntry, type ProvenPage } from '#money/snapshot.ts';
import type { FactStore } from '#storage/node/facts.ts';
import {
  fetchedUpTo,
  openSnapshotPages,
  origins,
  progressAfter,
  readEntries,
  verifiedPage,
  verifiedUpTo,
  type PageOrigin,
  type SnapshotProgress,
} from './snapshot-pages.ts';

export interface SnapshotStore {
  /** Resolves with the root when the whole list would survive a power failure. */
  readonly save: (entries: readonly SnapshotEntry[]) => Promise<Uint8Array>;
  /** Null unless the list is complete. */
  readonly load: (root: Uint8Array) => Promise<readonly SnapshotEntry[] | null>;
  readonly has: (root: Uint8Array) => Promise<boolean>;
  /** The page that begins at this position, or the rest of the page that contains it. */
  readonly page: (root: Uint8Array, start: number) => Promise<ProvenPage | null>;
  /** Progress of a list being fetched: its pages are verified and stored in order. */
  readonly progress: (root: Uint8Array) => Promise<SnapshotProgress>;
  /** Resolves with the next missing position: beyond this page if later ones are stored. */
  readonly savePage: (root: Uint8Array, value: ProvenPage) => Promise<SnapshotProgress>;
  /** Marks the list as complete after its last page. @param count of its entries. */
  readonly finish: (root: Uint8Array, count: number) => Promise<void>;
  /**
   * Until its unreadable pages are fetched again the list counts as missing; its other pages stay and
   * are served. The empty list is rebuilt.
   */
  readonly invalidate: (root: Uint8Array) => Promise<void>;
  /** Deletes a list; the empty one stays, because every idle epoch uses it. */
  readonly delete: (root: Uint8Array) => Promise<void>;
}

const listMachine = 'sealed-lists';
const emptyRoot = toHex(snapshotRoot([]));

export function openSnapshotStore(facts: FactStore): SnapshotStore {
  const pages = openSnapshotPages(facts);
  /** Hex of complete lists with unreadable pages, until those are stored again. */
  const damaged = new Set<string>();
  const isDamaged = (root: Uint8Array): boolean => damaged.has(toHex(root));

  /** All its pages are stored. */
  const markComplete = async (root: Uint8Array, completion: Completion): Promise<void> => {
    // The mark of a damaged list may be wrong, too.
    if (isDamaged(root)) await facts.erase(listMachine, toHex(root));
    if ((await completionOf(facts, root)) === null) {
      await facts.append(listMachine, toHex(root), encodeCompletion(completion));
    }
    damaged.delete(toHex(root));
  };
  const has = async (root: Uint8Array): Promise<boolean> =>
    !isDamaged(root) && (await completionOf(facts, root)) !== null;
  const save = async (entries: readonly SnapshotEntry[]): Promise<Uint8Array> => {
    const root = snapshotRoot(entries);
    if (await has(root)) return root;
    for (const page of provenPages(entries)) await pages.put(root, 'own', page);
    await markComplete(root, { origin: 'own', count: entries.length });
    return root;
  };
  const erase = async (root: Uint8Array): Promise<void> => {
    damaged.delete(toHex(root));
    await facts.erase(listMachine, toHex(root));
    await pages.eraseAll(root);
  };

  return {
    save,
    load: async (root) => {
      const complete = await completionOf(facts, root);
      return complete && readEntries(pages, root, complete);
    },
    has,
    page: async (root, start) => {
      const complete = await completionOf(facts, root);
      if (complete === null || start >= Math.max(complete.count, 1)) return null;
      const exact = await pages.read(root, complete.origin, start);
      return (
        exact ??
        (await pages.rest(root, complete.origin, start)) ??
        verifiedPage(pages, root, start)
      );
    },
    progress: (root) => (isDamaged(root) ? verifiedUpTo(pages, root) : fetchedUpTo(pages, root)),
    savePage: async (root, page) => {
      await pages.eraseUnreadable(root, 'own', page.start);
      await pages.put(root, 'fetched', page);
      const next = progressAfter(page);
      return isDamaged(root) ? verifiedUpTo(pages, root, next) : next;
    },
    finish: (root, count) => markComplete(root, { origin: 'fetched', count }),
    delete: async (root) => {
      if (toHex(root) !== emptyRoot) await erase(root);
    },
    invalidate: async (root) => {
      if (toHex(root) === emptyRoot) {
        await erase(root);
        await save([]);
        return;
      }
      const complete = await completionOf(facts, root);
      if (complete === null) return;
      const { start, count } = await verifiedUpTo(pages, root);
      if (start !== complete.count || count !== complete.count) damaged.add(toHex(root));
    },
  };
}

/** The entry count of a complete list and the origin of its pages. */
interface Completion {
  readonly count: number;
  readonly origin: PageOrigin;
}

const encodeCompletion = ({ count, origin }: Completion): Uint8Array =>
  new Writer().u32(count).u8(origins.indexOf(origin)).finish();

/** Null if the list is incomplete. */
async function completionOf(facts: FactStore, root: Uint8Array): Promise<Completion | null> {
  for (const bytes of await facts.load(listMachine, toHex(root))) {
    const reader = new Reader(bytes);
    const count = reader.u32();
    const origin = origins[reader.u8()];
    if (origin !== undefined && reader.finish()) return { count, origin };
  }
  return null;
}
