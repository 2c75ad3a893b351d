/**
 * Fetches lists of sealed entries from peers, page by page, one peer at a time. Who is silent is
 * passed over; whose pages do not make the list that the root names is not asked for it again.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  decodeSealedEntry,
  entriesAscend,
  entriesRoot,
  maxSnapshotPages,
  type SealedEntry,
} from '#money/snapshot.ts';
import type { SnapshotPage } from '#protocol/handover/index.ts';

/** Seven snapshots, the merged list, and archives; what is over waits to be asked for again. */
export const maxFetches = 16;
const silentMs = 3_000;

/** Whether entries of a page may stand in the list; `later`: this node knows too little yet. */
export type Judgement = 'good' | 'bad' | 'later';

export interface FetchOptions {
  /** A peer that sends no page for so long is passed over; 3 s by default. */
  readonly silentMs?: number;
  readonly ask: (key: Uint8Array, to: NodeId, root: Uint8Array, page: number) => void;
  readonly blame: (peer: NodeId, rule: string) => void;
}

export interface Fetches {
  /**
   * Resolves with the whole list, its root proven; null when nobody sent it, or when its entries
   * cannot be judged yet: the asker repeats its wish.
   * @param judge looks at every page as it comes, so that nobody fills this node's memory with lies
   */
  readonly fetch: (
    key: Uint8Array,
    root: Uint8Array,
    from: readonly NodeId[],
    judge: (entries: readonly SealedEntry[]) => Promise<Judgement>,
  ) => Promise<readonly SealedEntry[] | null>;
  readonly take: (from: NodeId, page: SnapshotPage) => Promise<void>;
  readonly stop: () => void;
}

interface Fetch {
  readonly key: Uint8Array;
  readonly root: Uint8Array;
  /** Peers still to be asked; the first one is being asked. */
  peers: readonly NodeId[];
  readonly judge: (entries: readonly SealedEntry[]) => Promise<Judgement>;
  entries: SealedEntry[];
  next: number;
  /** As the peer says; null before its first page. */
  pages: number | null;
  /** Whose pages these are. */
  readonly senders: Set<NodeId>;
  /** Pages of several peers did not fit: from now on each peer sends all of them. */
  alone: boolean;
  judging: boolean;
  quiet: number;
  readonly promise: Promise<readonly SealedEntry[] | null>;
  readonly done: (entries: readonly SealedEntry[] | null) => void;
}

export function createFetches({ ask, blame, ...options }: FetchOptions): Fetches {
  const fetches = new Map<string, Fetch>();

  const end = (fetch: Fetch, entries: readonly SealedEntry[] | null): void => {
    fetches.delete(toHex(fetch.root));
    fetch.done(entries);
  };
  const request = (fetch: Fetch): void => {
    const [peer] = fetch.peers;
    fetch.quiet = 0;
    if (peer === undefined) end(fetch, null);
    else ask(fetch.key, peer, fetch.root, fetch.next);
  };
  const startOver = (fetch: Fetch): void => {
    Object.assign(fetch, { entries: [], next: 0, pages: null });
    fetch.senders.clear();
  };
  const passOver = (fetch: Fetch): void => {
    fetch.peers = fetch.peers.slice(1);
    if (fetch.alone) startOver(fetch);
    request(fetch);
  };
  const accuse = (fetch: Fetch, peer: NodeId, rule: string): void => {
    blame(peer, rule);
    fetch.peers = fetch.peers.filter((each) => each !== peer);
    startOver(fetch);
    request(fetch);
  };
  /** Of several senders nobody knows who lied. */
  const misfit = (fetch: Fetch, peer: NodeId, rule: string): void => {
    if ([...fetch.senders].every((each) => each === peer)) return accuse(fetch, peer, rule);
    fetch.alone = true;
    startOver(fetch);
    request(fetch);
  };

  const timer = setInterval(
    () => {
      for (const fetch of [...fetches.values()]) {
        fetch.quiet += 1;
        if (fetch.quiet > 1 && !fetch.judging) passOver(fetch);
      }
    },
    (options.silentMs ?? silentMs) / 2,
  );

  return {
    fetch: (key, root, from, judge) => {
      const known = fetches.get(toHex(root));
      if (known !== undefined) return known.promise;
      if (fetches.size >= maxFetches || from.length === 0) return Promise.resolve(null);
      let done: Fetch['done'] = () => undefined;
      const promise = new Promise<readonly SealedEntry[] | null>((resolve) => {
        done = resolve;
      });
      const fetch: Fetch = {
        ...{ key, root, judge, promise, done },
        ...{ peers: from, entries: [], next: 0, pages: null, senders: new Set() },
        ...{ alone: false, judging: false, quiet: 0 },
      };
      fetches.set(toHex(root), fetch);
      request(fetch);
      return promise;
    },

    take: async (from, { root, page, pages, entries }) => {
      const fetch = fetches.get(toHex(root));
      if (fetch === undefined || fetch.judging || fetch.peers[0] !== from) return;
      if (page !== fetch.next) return; // Sent twice, or late.
      const decoded = entries.map(decodeSealedEntry);
      const fresh = decoded.flatMap((each) => (each.ok ? [each.value] : []));
      const last = fetch.entries.slice(-1);
      const fits =
        fresh.length === entries.length &&
        entriesAscend([...last, ...fresh]) &&
        page < pages &&
        pages <= maxSnapshotPages &&
        (fetch.pages ?? pages) === pages &&
        (fresh.length > 0 || pages === 1);
      if (!fits) return misfit(fetch, from, 'page');
      fetch.judging = true;
      const judgement = await fetch.judge(fresh).catch((): Judgement => 'later');
      fetch.judging = false;
      if (judgement === 'later') return end(fetch, null);
      if (judgement === 'bad') return accuse(fetch, from, 'entry');
      fetch.senders.add(from);
      fetch.entries.push(...fresh);
      fetch.pages = pages;
      fetch.next = page + 1;
      if (fetch.next < pages) return request(fetch);
      if (toHex(entriesRoot(fetch.entries)) === toHex(root)) return end(fetch, fetch.entries);
      misfit(fetch, from, 'root');
    },

    stop: () => {
      clearInterval(timer);
      for (const fetch of [...fetches.values()]) end(fetch, null);
    },
  };
}
