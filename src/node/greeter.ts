/**
 * Greetings: nodes tell each other where they and others are, a few at a time, and find out who can
 * be reached when somebody asks for it (N40). Members are greeted, in turn; a stranger is dialled
 * only when it has asked for something.
 */
import { nameToId } from '#address/xor-name.ts';
import type { NodeHost } from '#network/node-host.ts';
import {
  decodeNodeReply,
  encodeNodeRequest,
  maxNamesWanted,
  maxRecordsGiven,
  maxRecordsTold,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node.ts';
import type { AddressBook } from './address-book.ts';
import { createReachLimits } from './reach-limits.ts';

export interface GreeterOptions {
  readonly host: Pick<NodeHost, 'name' | 'request' | 'reach' | 'comesFrom'>;
  readonly book: AddressBook;
  readonly tag: string;
  /** Names this node must be able to dial: the members of its section. */
  readonly wanted: () => readonly Uint8Array[];
}

export interface Greeter {
  /** Greets one node now; resolves with whether it answered. */
  readonly greet: (name: Uint8Array) => Promise<boolean>;
  /**
   * N40: dials one of its addresses anew, whatever connection is open, and greets it. A connection
   * that it made itself shows nothing about whether others can reach it. What was dialled in vain
   * waits longer each time, and an address that the node does not come from is dialled seldom.
   */
  readonly reach: (name: Uint8Array) => Promise<boolean>;
  /** Greets everybody we count on an address of, a few at a time. */
  readonly greetAll: () => Promise<void>;
  /**
   * @param from the peer that greets, by its connection
   * @param address where that comes from, see addressGroup
   */
  readonly answer: (
    request: NodeRequest & { readonly kind: 'greet' },
    from: Uint8Array,
    address: string | null,
  ) => NodeReply;
  readonly stop: () => Promise<void>;
}

const greetEveryMs = 5_000;
/** While a member of our section cannot be dialled. */
const searchEveryMs = 500;
const greetTimeoutMs = 4_000;
const greetedAtOnce = 8;
/** Every so many greetings one goes to a node of another section. */
const elsewhereEvery = 4;

export function createGreeter(options: GreeterOptions): Greeter {
  const { host, book, tag } = options;
  const own = host.name;
  const self = nameToId(own);
  const limits = createReachLimits();
  let turn = 0;
  let [nearTurn, farTurn] = [0, 0];

  /** Whoever gives a forged record is not read on. */
  const takeRecords = (
    records: readonly Uint8Array[],
    from: Uint8Array,
    address: string | null = null,
  ): void => {
    for (const record of records) if (book.offer(record, from, address) === 'forged') return;
  };

  const greet = async (name: Uint8Array): Promise<boolean> => {
    const missing = options
      .wanted()
      .filter((each) => book.recordOf(each) === null && nameToId(each) !== self);
    const request = encodeNodeRequest({
      kind: 'greet',
      records: book.records(maxRecordsGiven, [own]),
      wanted: missing.slice(0, maxNamesWanted),
    });
    const to = { name, addresses: book.addressesOf(name) };
    const answer = await host.request(to, 'section', tag, request, { timeoutMs: greetTimeoutMs });
    const reply = answer.ok ? decodeNodeReply(answer.value) : undefined;
    if (reply?.ok !== true || reply.value.kind !== 'known') return false;
    takeRecords(reply.value.records, name);
    return true;
  };

  /** Our section's members, then other nodes that we count on. */
  const others = (): { readonly near: Uint8Array[]; readonly far: Uint8Array[] } => {
    const wanted = new Set(options.wanted().map(nameToId));
    const pinned = book.pinned().filter((name) => nameToId(name) !== self);
    return {
      near: pinned.filter((name) => wanted.has(nameToId(name))),
      far: pinned.filter((name) => !wanted.has(nameToId(name))),
    };
  };

  const isComplete = (): boolean => options.wanted().every((name) => book.recordOf(name) !== null);
  let timer: ReturnType<typeof setTimeout>;
  const tick = (): void => {
    const { near, far } = others();
    const isFar = near.length === 0 || (far.length > 0 && turn % elsewhereEvery === 0);
    const name = isFar ? far[farTurn++ % far.length] : near[nearTurn++ % near.length];
    turn += 1;
    if (name !== undefined) void greet(name).catch(() => false);
    book.keep();
    timer = setTimeout(tick, isComplete() ? greetEveryMs : searchEveryMs);
  };
  timer = setTimeout(tick, searchEveryMs);

  return {
    greet,
    reach: async (name) => {
      const [id, all] = [nameToId(name), book.addressesOf(name)];
      const addresses = limits.allowed(id, all, host.comesFrom(name));
      if (addresses.length === 0) return false;
      const isReached =
        (await host.reach({ name, addresses }, { timeoutMs: greetTimeoutMs })) &&
        (await greet(name));
      limits.note(id, all, isReached);
      return isReached;
    },
    greetAll: async () => {
      const { near, far } = others();
      const names = [...near, ...far];
      for (let at = 0; at < names.length; at += greetedAtOnce) {
        await Promise.all(names.slice(at, at + greetedAtOnce).map(greet));
      }
    },
    answer: ({ records, wanted }, from, address) => {
      takeRecords(records, from, address);
      return { kind: 'known', records: book.records(maxRecordsTold, [own, ...wanted]) };
    },
    stop: async () => {
      clearTimeout(timer);
      await book.close();
    },
  };
}
