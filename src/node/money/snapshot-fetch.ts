/**
 * Fetches lists of snapshot entries from peers, page by page, one peer at a time. Each page proves
 * itself against the root, so it is stored on arrival and its sender is responsible for it: memory
 * holds one page, and pages stay across restarts and peers. A page is requested by the position of its
 * first entry, so that peers may divide a list differently.
 */
import { compareBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { areEntriesSorted, isShortPage, verifyPage, type SnapshotEntry } from '#money/snapshot.ts';
import type { SnapshotPage } from '#protocol/handover/index.ts';
import type { SnapshotStore } from './snapshot-store.ts';

/** Seven snapshots, the merged list, and archives; more must be requested again. */
export const maxSnapshotFetches = 16;
const unresponsiveMs = 3_000;
/** A slow but responsive peer is asked for this long before the others get a turn. */
const turnMs = 20_000;

/** May the entries of a page be in the list? `later`: this node lacks a key to decide. */
export type PageCheck = 'good' | 'bad' | 'later';

export interface SnapshotFetchOptions {
  /** A peer that sends no page for this long is skipped; 3 s by default. */
  readonly unresponsiveMs?: number;
  /** 20 s by default. */
  readonly turnMs?: number;
  readonly lists: Pick<SnapshotStore, 'progress' | 'savePage' | 'finish'>;
  readonly requestPage: (key: Uint8Array, to: NodeId, root: Uint8Array, start: number) => void;
  readonly blame: (peer: NodeId, rule: string) => void;
}

export interface SnapshotFetches {
  /**
   * Resolves with true when the whole list is on disk; with false when no peer sent it, or when its
   * entries cannot be checked yet: the caller asks again, and received pages stay.
   */
  readonly fetch: (
    key: Uint8Array,
    root: Uint8Array,
    from: readonly NodeId[],
    judge: (entries: readonly SnapshotEntry[]) => Promise<PageCheck>,
  ) => Promise<boolean>;
  readonly receive: (from: NodeId, page: SnapshotPage) => Promise<void>;
  readonly stop: () => void;
}

export function createSnapshotFetches(options: SnapshotFetchOptions): SnapshotFetches {
  const { lists } = options;
  const fetches = new Map<string, SnapshotFetch>();
  const periodMs = (options.unresponsiveMs ?? unresponsiveMs) / 2;
  const periodsPerTurn = (options.turnMs ?? turnMs) / periodMs;
  const timer = setInterval(() => {
    for (const fetch of [...fetches.values()]) countPeriod(fetch, periodsPerTurn);
  }, periodMs);

  return {
    fetch: (key, root, from, check) => {
      const known = fetches.get(toHex(root));
      if (known !== undefined) return known.promise;
      if (fetches.size >= maxSnapshotFetches || from.length === 0) return Promise.resolve(false);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const end = (isWhole: boolean): void => {
        fetches.delete(toHex(root));
        resolve(isWhole);
      };
      const fetch: SnapshotFetch = {
        ...{ options, key, root, check, promise, end, peers: from },
        ...{ start: 0, last: null, checking: true, idlePeriods: 0, turnPeriods: 0, isFirst: true },
      };
      fetches.set(toHex(root), fetch);
      const begin = async (): Promise<void> => {
        const { start, last, count } = await lists.progress(root);
        if (!fetches.has(toHex(root))) return;
        // No page follows the last one: only the list's completion mark is missing.
        if (start === count) {
          await lists.finish(root, count);
          return end(true);
        }
        Object.assign(fetch, { start, last, checking: false });
        request(fetch);
      };
      begin().catch(() => end(false));
      return promise;
    },

    receive: async (from, message) => {
      const fetch = fetches.get(toHex(message.root));
      if (fetch === undefined || fetch.checking || fetch.peers[0] !== from) return;
      if (message.start !== fetch.start) return; // A repeated, late or unrequested page.
      fetch.checking = true;
      try {
        await receivePage(fetch, from, message);
      } catch (error) {
        fetch.end(false); // An error of this node's disk: the caller asks again.
        throw error;
      } finally {
        fetch.checking = false;
      }
    },

    stop: () => {
      clearInterval(timer);
      for (const fetch of [...fetches.values()]) fetch.end(false);
    },
  };
}

interface SnapshotFetch {
  readonly options: SnapshotFetchOptions;
  readonly key: Uint8Array;
  readonly root: Uint8Array;
  /** Peers left to ask; the first one is being asked. */
  peers: readonly NodeId[];
  readonly check: (entries: readonly SnapshotEntry[]) => Promise<PageCheck>;
  /** The position of the first missing entry, and the entry before it. */
  start: number;
  last: SnapshotEntry | null;
  checking: boolean;
  /** Half periods without a page, and of this peer's turn. */
  idlePeriods: number;
  turnPeriods: number;
  /** No page of this peer yet: its first one may be the rest of a page that another peer divided. */
  isFirst: boolean;
  readonly promise: Promise<boolean>;
  readonly end: (isWhole: boolean) => void;
}

function request(fetch: SnapshotFetch): void {
  const [peer] = fetch.peers;
  fetch.idlePeriods = 0;
  if (peer === undefined) fetch.end(false);
  else fetch.options.requestPage(fetch.key, peer, fetch.root, fetch.start);
}

function continueWith(fetch: SnapshotFetch, peers: readonly NodeId[]): void {
  fetch.peers = peers;
  fetch.turnPeriods = 0;
  fetch.isFirst = true;
  request(fetch);
}

function rejectPeer(fetch: SnapshotFetch, peer: NodeId, rule: string): void {
  fetch.options.blame(peer, rule);
  const others = fetch.peers.filter((each) => each !== peer);
  continueWith(fetch, others);
}

/** Continues with the next peer when this one is unresponsive, or its turn is over. */
function countPeriod(fetch: SnapshotFetch, periodsPerTurn: number): void {
  if (fetch.checking) return;
  fetch.idlePeriods += 1;
  fetch.turnPeriods += 1;
  const [peer, ...rest] = fetch.peers;
  if (fetch.idlePeriods > 1) continueWith(fetch, rest);
  else if (fetch.turnPeriods > periodsPerTurn && peer !== undefined)
    continueWith(fetch, [...rest, peer]);
}

async function receivePage(
  fetch: SnapshotFetch,
  from: NodeId,
  message: SnapshotPage,
): Promise<void> {
  const { root, start, count } = message;
  const { lists } = fetch.options;
  const opened = verifyPage(root, message);
  if (!opened.ok) return rejectPeer(fetch, from, opened.error);
  const entries = opened.value;
  // An honest peer does not divide a list into single entries.
  const isRest = fetch.isFirst && start > 0;
  if (!isRest && isShortPage(message)) return rejectPeer(fetch, from, 'short');
  const before = fetch.last === null ? [] : [fetch.last];
  if (!areEntriesSorted([...before, ...entries.slice(0, 1)]))
    return rejectPeer(fetch, from, 'order');
  const verdict = await fetch.check(entries).catch((): PageCheck => 'later');
  if (verdict === 'later') return fetch.end(false);
  if (verdict === 'bad') return rejectPeer(fetch, from, 'entry');
  const next = await lists.savePage(root, message);
  // After pages that were stored already, the next one may be the rest of a differently divided page.
  fetch.isFirst = next.start !== start + entries.length;
  fetch.start = next.start;
  fetch.last = next.last;
  if (fetch.start < count) return request(fetch);
  await lists.finish(root, count);
  fetch.end(true);
}

/** Peers in a random order for each requester and list, so that no name can be ground to be first. */
export function inRequestOrder(
  self: NodeId,
  root: Uint8Array,
  peers: readonly NodeId[],
): readonly NodeId[] {
  const bytes = (id: NodeId): Uint8Array => {
    const name = fromHex(id);
    return name.ok ? name.value : new Uint8Array();
  };
  return peers
    .map((peer) => ({
      peer,
      draw: labelledHash('safe/v1/list-source', bytes(self), root, bytes(peer)),
    }))
    .sort((a, b) => compareBytes(a.draw, b.draw))
    .map(({ peer }) => peer);
}
