/**
 * Nodes exchange a few address records at a time, and test on request whether a node can be reached
 * (N40). Members are contacted in turn; an unknown node is dialled only after it made a request.
 */
import { nameToId } from '#address/xor-name.ts';
import type { NodeHost } from '#network/node-host.ts';
import {
  decodeNodeReply,
  encodeNodeRequest,
  maxNamesRequested,
  maxRecordsPerRequest,
  maxRecordsPerReply,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node-requests.ts';
import type { AddressBook } from './address-book.ts';
import { createDialLimits } from './dial-limits.ts';

export interface PeerExchangeOptions {
  readonly host: Pick<NodeHost, 'name' | 'request' | 'checkReachable' | 'addressGroupsOf'>;
  readonly book: AddressBook;
  readonly tag: string;
  /** Names this node must be able to dial: the members of its section. */
  readonly wanted: () => readonly Uint8Array[];
}

export interface PeerExchange {
  /** Exchanges records with one node now; resolves with whether it answered. */
  readonly exchangeWith: (name: Uint8Array) => Promise<boolean>;
  /**
   * N40: dials one of its addresses anew, even if a connection is open, and exchanges records. A
   * connection that the node opened does not show that others can reach it. The wait after a failed
   * dial doubles, and an address other than the node's own is dialled rarely.
   */
  readonly reach: (name: Uint8Array) => Promise<boolean>;
  /** Exchanges records with all pinned nodes that have an address, a few at a time. */
  readonly exchangeWithAll: () => Promise<void>;
  /**
   * @param from the requesting peer, by its connection
   * @param address its address, see addressGroup
   */
  readonly answer: (
    request: NodeRequest & { readonly kind: 'exchangeAddresses' },
    from: Uint8Array,
    address: string | null,
  ) => NodeReply;
  readonly stop: () => Promise<void>;
}

const exchangeEveryMs = 5_000;
/** While a member of our section has no known address. */
const searchEveryMs = 500;
const exchangeTimeoutMs = 4_000;
const exchangesAtOnce = 8;
/** One of this many exchanges goes to a node of another section. */
const otherSectionEvery = 4;

export function createPeerExchange(options: PeerExchangeOptions): PeerExchange {
  const { host, book, tag } = options;
  const own = host.name;
  const self = nameToId(own);
  const limits = createDialLimits();
  const targets = createExchangeTargets(options);

  /** Stops at a forged record: the rest of the sender's list is not read. */
  const takeRecords = (
    records: readonly Uint8Array[],
    from: Uint8Array,
    address: string | null = null,
  ): void => {
    for (const record of records) if (book.offer(record, from, address) === 'forged') return;
  };

  const exchangeWith = async (name: Uint8Array): Promise<boolean> => {
    const missing = targets.missing().filter((each) => nameToId(each) !== self);
    const request = encodeNodeRequest({
      kind: 'exchangeAddresses',
      records: book.records(maxRecordsPerRequest, [own]),
      wanted: missing.slice(0, maxNamesRequested),
    });
    const to = { name, addresses: book.addressesOf(name) };
    const answer = await host.request(to, 'section', tag, request, {
      timeoutMs: exchangeTimeoutMs,
    });
    const reply = answer.ok ? decodeNodeReply(answer.value) : undefined;
    if (reply?.ok !== true || reply.value.kind !== 'addresses') return false;
    takeRecords(reply.value.records, name);
    return true;
  };

  let timer: ReturnType<typeof setTimeout>;
  const tick = (): void => {
    const name = targets.next();
    if (name !== undefined) void exchangeWith(name).catch(() => false);
    book.saveSoon();
    timer = setTimeout(tick, targets.missing().length === 0 ? exchangeEveryMs : searchEveryMs);
  };
  timer = setTimeout(tick, searchEveryMs);

  return {
    exchangeWith,
    reach: async (name) => {
      const [id, all] = [nameToId(name), book.addressesOf(name)];
      const addresses = limits.allowed(id, all, host.addressGroupsOf(name));
      if (addresses.length === 0) return false;
      const isReached =
        (await host.checkReachable({ name, addresses }, { timeoutMs: exchangeTimeoutMs })) &&
        (await exchangeWith(name));
      limits.record(id, all, isReached);
      return isReached;
    },
    exchangeWithAll: async () => {
      const { near, far } = targets.all();
      const names = [...near, ...far];
      for (let at = 0; at < names.length; at += exchangesAtOnce) {
        await Promise.all(names.slice(at, at + exchangesAtOnce).map(exchangeWith));
      }
    },
    answer: ({ records, wanted }, from, address) => {
      takeRecords(records, from, address);
      return { kind: 'addresses', records: book.records(maxRecordsPerReply, [own, ...wanted]) };
    },
    stop: async () => {
      clearTimeout(timer);
      await book.close();
    },
  };
}

/** The nodes to exchange records with: members of our section and other pinned nodes, each kind in turn. */
function createExchangeTargets({ host, book, wanted }: PeerExchangeOptions) {
  const self = nameToId(host.name);
  let turn = 0;
  let [nearTurn, farTurn] = [0, 0];

  const all = (): { readonly near: Uint8Array[]; readonly far: Uint8Array[] } => {
    const near = new Set(wanted().map(nameToId));
    const pinned = book.pinned().filter((name) => nameToId(name) !== self);
    return {
      near: pinned.filter((name) => near.has(nameToId(name))),
      far: pinned.filter((name) => !near.has(nameToId(name))),
    };
  };
  return {
    all,
    next: (): Uint8Array | undefined => {
      const { near, far } = all();
      const isFar = near.length === 0 || (far.length > 0 && turn % otherSectionEvery === 0);
      turn += 1;
      return isFar ? far[farTurn++ % far.length] : near[nearTurn++ % near.length];
    },
    /** Members of our section without a known record. */
    missing: (): readonly Uint8Array[] => wanted().filter((name) => book.recordOf(name) === null),
  };
}
