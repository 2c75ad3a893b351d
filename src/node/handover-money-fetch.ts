/**
 * Fetches lists of sealed entries from peers, page by page, one peer at a time. Each page proves
 * itself against the root, so it is on disk as soon as it came and its sender answers for it: memory
 * holds one page, and what came before a restart or from another peer stays. Pages are asked for by
 * the place of their first entry, so that it does not matter how another peer had cut the ones before.
 */
import { compareBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { entriesAscend, isShortPage, openSealedPage, type SealedEntry } from '#money/snapshot.ts';
import type { SnapshotPage } from '#protocol/handover/index.ts';
import type { SealedLists } from './handover-money-lists.ts';

/** Seven snapshots, the merged list, and archives; what is over waits to be asked for again. */
export const maxFetches = 16;
const silentMs = 3_000;
/** A peer that is slow, but not silent, is asked for so long before others have their turn. */
const turnMs = 20_000;

/** Whether entries of a page may stand in the list; `later`: this node knows too little yet. */
export type Judgement = 'good' | 'bad' | 'later';

export interface FetchOptions {
  /** A peer that sends no page for so long is passed over; 3 s by default. */
  readonly silentMs?: number;
  /** 20 s by default. */
  readonly turnMs?: number;
  readonly lists: Pick<SealedLists, 'progress' | 'keepPage' | 'finish'>;
  readonly ask: (key: Uint8Array, to: NodeId, root: Uint8Array, start: number) => void;
  readonly blame: (peer: NodeId, rule: string) => void;
}

export interface Fetches {
  /**
   * Resolves with true when the whole list is on disk; with false when nobody sent it, or when its
   * entries cannot be judged yet: the asker repeats its wish, and what came stays.
   */
  readonly fetch: (
    key: Uint8Array,
    root: Uint8Array,
    from: readonly NodeId[],
    judge: (entries: readonly SealedEntry[]) => Promise<Judgement>,
  ) => Promise<boolean>;
  readonly take: (from: NodeId, page: SnapshotPage) => Promise<void>;
  readonly stop: () => void;
}

interface Fetch {
  readonly key: Uint8Array;
  readonly root: Uint8Array;
  /** Peers still to be asked; the first one is being asked. */
  peers: readonly NodeId[];
  readonly judge: (entries: readonly SealedEntry[]) => Promise<Judgement>;
  /** The place of the first entry that is lacking, and the entry before it. */
  start: number;
  last: SealedEntry | null;
  judging: boolean;
  /** Half periods of silence since the last page, and of this peer's turn. */
  quiet: number;
  turn: number;
  /** This peer sent no page yet: its first one may be the rest of one that another has cut. */
  isFirst: boolean;
  readonly promise: Promise<boolean>;
  readonly done: (isWhole: boolean) => void;
}

export function createFetches(options: FetchOptions): Fetches {
  const { ask, blame, lists } = options;
  const fetches = new Map<string, Fetch>();
  const halfMs = (options.silentMs ?? silentMs) / 2;
  const turns = (options.turnMs ?? turnMs) / halfMs;

  const end = (fetch: Fetch, isWhole: boolean): void => {
    fetches.delete(toHex(fetch.root));
    fetch.done(isWhole);
  };
  const request = (fetch: Fetch): void => {
    const [peer] = fetch.peers;
    fetch.quiet = 0;
    if (peer === undefined) end(fetch, false);
    else ask(fetch.key, peer, fetch.root, fetch.start);
  };
  const goOn = (fetch: Fetch, peers: readonly NodeId[]): void => {
    fetch.peers = peers;
    fetch.turn = 0;
    fetch.isFirst = true;
    request(fetch);
  };
  const accuse = (fetch: Fetch, peer: NodeId, rule: string): void => {
    blame(peer, rule);
    goOn(
      fetch,
      fetch.peers.filter((each) => each !== peer),
    );
  };

  const timer = setInterval(() => {
    for (const fetch of [...fetches.values()]) {
      if (fetch.judging) continue;
      fetch.quiet += 1;
      fetch.turn += 1;
      const [peer, ...rest] = fetch.peers;
      if (fetch.quiet > 1) goOn(fetch, rest);
      else if (fetch.turn > turns && peer !== undefined) goOn(fetch, [...rest, peer]);
    }
  }, halfMs);

  const take = async (fetch: Fetch, from: NodeId, message: SnapshotPage): Promise<void> => {
    const { root, start, count } = message;
    const opened = openSealedPage(root, message);
    if (!opened.ok) return accuse(fetch, from, opened.error);
    const entries = opened.value;
    // Nobody deals a list out by single entries.
    const isRest = fetch.isFirst && start > 0;
    if (!isRest && isShortPage(message)) return accuse(fetch, from, 'short');
    const before = fetch.last === null ? [] : [fetch.last];
    if (!entriesAscend([...before, ...entries.slice(0, 1)])) return accuse(fetch, from, 'order');
    const judgement = await fetch.judge(entries).catch((): Judgement => 'later');
    if (judgement === 'later') return end(fetch, false);
    if (judgement === 'bad') return accuse(fetch, from, 'entry');
    const next = await lists.keepPage(root, message);
    // Behind pages that were here already the next one may be the rest of another, cut as those were not.
    fetch.isFirst = next.start !== start + entries.length;
    fetch.start = next.start;
    fetch.last = next.last;
    if (fetch.start < count) return request(fetch);
    await lists.finish(root, count);
    end(fetch, true);
  };

  return {
    fetch: (key, root, from, judge) => {
      const known = fetches.get(toHex(root));
      if (known !== undefined) return known.promise;
      if (fetches.size >= maxFetches || from.length === 0) return Promise.resolve(false);
      let done: Fetch['done'] = () => undefined;
      const promise = new Promise<boolean>((resolve) => {
        done = resolve;
      });
      const fetch: Fetch = {
        ...{ key, root, judge, promise, done, peers: from },
        ...{ start: 0, last: null, judging: true, quiet: 0, turn: 0, isFirst: true },
      };
      fetches.set(toHex(root), fetch);
      const begin = async (): Promise<void> => {
        const { start, last, count } = await lists.progress(root);
        if (!fetches.has(toHex(root))) return;
        // Nobody has a page behind the last one: what is on disk only lacks its mark.
        if (start === count) {
          await lists.finish(root, count);
          return end(fetch, true);
        }
        Object.assign(fetch, { start, last, judging: false });
        request(fetch);
      };
      begin().catch(() => end(fetch, false));
      return promise;
    },

    take: async (from, message) => {
      const fetch = fetches.get(toHex(message.root));
      if (fetch === undefined || fetch.judging || fetch.peers[0] !== from) return;
      if (message.start !== fetch.start) return; // Sent twice, late, or not what was asked for.
      fetch.judging = true;
      try {
        await take(fetch, from, message);
      } catch (error) {
        end(fetch, false); // This node's disk: the wish is repeated.
        throw error;
      } finally {
        fetch.judging = false;
      }
    },

    stop: () => {
      clearInterval(timer);
      for (const fetch of [...fetches.values()]) end(fetch, false);
    },
  };
}

/** Whom to ask first: drawn for each asker and list, so that no name can be chosen to be it. */
export function inAskingOrder(
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
