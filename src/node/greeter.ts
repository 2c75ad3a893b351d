/**
 * Greetings: nodes tell each other where they and others are, a few at a time, and find out who can
 * be reached when somebody asks for it (N40).
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

export interface GreeterOptions {
  readonly host: NodeHost;
  readonly book: AddressBook;
  readonly tag: string;
  /** Names this node must be able to dial: the members of its section. */
  readonly wanted: () => readonly Uint8Array[];
}

export interface Greeter {
  /** Greets one node now; resolves with whether it answered (N40: reached by ourselves). */
  readonly greet: (name: Uint8Array) => Promise<boolean>;
  /** Greets everybody we know an address of, a few at a time. */
  readonly greetAll: () => Promise<void>;
  readonly answer: (request: NodeRequest & { readonly kind: 'greet' }) => NodeReply;
  readonly stop: () => void;
}

const greetEveryMs = 5_000;
/** While a member of our section cannot be dialled. */
const searchEveryMs = 500;
const greetTimeoutMs = 4_000;
const greetedAtOnce = 8;

export function createGreeter(options: GreeterOptions): Greeter {
  const { host, book, tag } = options;
  const own = host.name;
  let turn = 0;

  const greet = async (name: Uint8Array): Promise<boolean> => {
    const missing = options
      .wanted()
      .filter((each) => book.recordOf(each) === null && nameToId(each) !== nameToId(own));
    const request = encodeNodeRequest({
      kind: 'greet',
      records: book.records(maxRecordsGiven, [own]),
      wanted: missing.slice(0, maxNamesWanted),
    });
    const to = { name, addresses: book.addressesOf(name) };
    const answer = await host.request(to, 'section', tag, request, { timeoutMs: greetTimeoutMs });
    const reply = answer.ok ? decodeNodeReply(answer.value) : undefined;
    const reached = reply?.ok === true && reply.value.kind === 'known';
    if (reply?.ok === true && reply.value.kind === 'known') {
      for (const record of reply.value.records) book.offer(record);
    }
    return reached;
  };

  const others = (): readonly Uint8Array[] => {
    const self = nameToId(own);
    const byId = new Map(
      [...options.wanted(), ...book.names()].map((name) => [nameToId(name), name]),
    );
    byId.delete(self);
    return [...byId.values()].filter((name) => book.recordOf(name) !== null);
  };

  const isComplete = (): boolean => options.wanted().every((name) => book.recordOf(name) !== null);
  let timer: ReturnType<typeof setTimeout>;
  const tick = (): void => {
    const names = others();
    const name = names[turn++ % Math.max(1, names.length)];
    if (name !== undefined) void greet(name);
    book.keep();
    timer = setTimeout(tick, isComplete() ? greetEveryMs : searchEveryMs);
  };
  timer = setTimeout(tick, searchEveryMs);

  return {
    greet,
    greetAll: async () => {
      const names = others();
      for (let at = 0; at < names.length; at += greetedAtOnce) {
        await Promise.all(names.slice(at, at + greetedAtOnce).map(greet));
      }
    },
    answer: ({ records, wanted }) => {
      for (const record of records) book.offer(record);
      return { kind: 'known', records: book.records(maxRecordsTold, [own, ...wanted]) };
    },
    stop: () => {
      clearTimeout(timer);
      book.keep();
    },
  };
}
