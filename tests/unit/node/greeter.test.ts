/**
 * Goal: members are greeted, strangers are dialled only when somebody asks for it, and being reached
 * means having been dialled (N28, N40).
 * Method: a host of wood that writes down whom it dials; for N40 real hosts over TCP.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { ok } from '#core/result.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { createAddressBook, type AddressBook } from '#node/address-book.ts';
import { createGreeter, type Greeter } from '#node/greeter.ts';
import { publicKeyOf } from '#node/native-ed25519.ts';
import { takePort } from '#node/ports.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import { decodeNodeRequest, encodeNodeReply } from '#roles/wire/node.ts';

const networkId = new Uint8Array(32).fill(1);
const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const nameOf = (n: number): Uint8Array => publicKeyOf(seed(n));
const record = (n: number, addresses: readonly string[] = ['/ip4/127.0.0.1/tcp/1'], counter = 1n) =>
  encodeAddressRecord(signAddressRecord(seed(n), networkId, counter, addresses));
const known = encodeNodeReply({ kind: 'known', records: [] });

const stops: (() => Promise<unknown>)[] = [];
beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

function greeting(book: AddressBook, members: readonly number[]) {
  const dialled: string[] = [];
  const greeter = createGreeter({
    host: {
      name: nameOf(100),
      request: async (to) => {
        dialled.push(nameToId(to.name));
        return ok(known);
      },
      reach: async () => true,
      comesFrom: () => new Set(),
    },
    book,
    tag: 'test',
    wanted: () => members.map(nameOf),
  });
  stops.push(greeter.stop);
  return { greeter, dialled };
}
const idOf = (n: number): string => nameToId(nameOf(n));

test('members are greeted in turn, those of other sections between them, strangers never', async () => {
  const book = createAddressBook(networkId, null);
  const [members, elsewhere, strangers] = [
    [1, 2, 3, 4],
    [5, 6],
    [7, 8, 9, 10, 11, 12],
  ];
  for (const n of [...members, ...elsewhere]) book.offer(record(n));
  book.pin(new Set([...members, ...elsewhere].map(idOf)));
  for (const n of strangers) expect(book.offer(record(n), nameOf(n))).toBe('news');
  const { dialled } = greeting(book, members);
  await vi.advanceTimersByTimeAsync(8 * 5_000);
  expect(dialled).toHaveLength(8);
  const count = (of: readonly number[]) => dialled.filter((id) => of.map(idOf).includes(id)).length;
  expect([count(members), count(elsewhere), count(strangers)]).toEqual([6, 2, 0]);
  expect(new Set(dialled).size).toBe(6);
});

test('before the members are known, those that the join point named are greeted', async () => {
  const book = createAddressBook(networkId, null);
  for (const n of [1, 2]) book.offer(record(n));
  const { dialled, greeter } = greeting(book, []);
  await greeter.greetAll();
  expect(dialled).toEqual([idOf(1), idOf(2)]);
});

test('after a forged record nothing more of a greeting is looked at', () => {
  const book = createAddressBook(networkId, null);
  book.pin(new Set([idOf(1)]));
  const { greeter } = greeting(book, [1]);
  const forged = record(2);
  forged.set(new Uint8Array(64), forged.length - 64);
  const offered = vi.spyOn(book, 'offer');
  const records = [record(1), forged, ...Array.from({ length: 14 }, (_, n) => record(20 + n))];
  const reply = greeter.answer({ kind: 'greet', records, wanted: [] }, nameOf(1), null);
  expect(reply.kind).toBe('known');
  expect(offered).toHaveBeenCalledTimes(2);
});

const startHost = async (n: number): Promise<NodeHost> => {
  const host = await createNodeHost({
    ...{ identitySeed: seed(n), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await takePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  stops.push(host.stop);
  return host;
};
const answering = async (host: NodeHost, greeter?: Greeter): Promise<void> =>
  host.serve('section', 'test', async (bytes, from) => {
    const request = decodeNodeRequest(bytes);
    if (!request.ok || request.value.kind !== 'greet' || from.name === null) return known;
    return greeter === undefined
      ? known
      : encodeNodeReply(greeter.answer(request.value, from.name, from.address));
  });

test('N40: a joiner with the address of another node is not reached, and its own connection is no proof', async () => {
  vi.useRealTimers();
  const [elder, honest, ghost] = [await startHost(1), await startHost(2), await startHost(3)];
  const book = createAddressBook(networkId, null);
  const greeter = createGreeter({ host: elder, book, tag: 'test', wanted: () => [] });
  stops.push(greeter.stop);
  for (const host of [elder, honest, ghost])
    await answering(host, host === elder ? greeter : undefined);
  const [there = ''] = honest.addresses();
  book.offer(record(2, [there]), honest.name);
  expect(await greeter.reach(honest.name)).toBe(true);

  // It may say that it is where another node is, with that node's id or without.
  for (const [at, address] of [there, `${there}/p2p/${honest.peerId}`].entries()) {
    book.offer(record(3, [address], BigInt(at + 1)), ghost.name);
    expect(await greeter.reach(ghost.name)).toBe(false);
  }
  // It may hold a connection that it made itself.
  const to = { name: elder.name, addresses: elder.addresses() };
  const hello = new Uint8Array([1]);
  expect((await ghost.request(to, 'section', 'test', hello, { timeoutMs: 5_000 })).ok).toBe(true);
  book.offer(record(3, ['/ip4/127.0.0.1/tcp/9'], 3n), ghost.name);
  expect(await greeter.reach(ghost.name)).toBe(false);
  book.offer(record(3, ghost.addresses(), 4n), ghost.name);
  expect(await greeter.reach(ghost.name)).toBe(true);
  // What was under way on the open connection goes on.
  expect((await ghost.request(to, 'section', 'test', hello, { timeoutMs: 5_000 })).ok).toBe(true);
});

test('a message for a name never goes to the peer that an address names instead', async () => {
  vi.useRealTimers();
  const [elder, honest] = [await startHost(1), await startHost(2)];
  const heard: Uint8Array[] = [];
  await honest.serve('section', 'test', async (bytes) => {
    heard.push(bytes);
    return known;
  });
  const [there = ''] = honest.addresses();
  const to = { name: nameOf(9), addresses: [there, `${there}/p2p/${honest.peerId}`] };
  const answer = await elder.request(to, 'section', 'test', Uint8Array.of(1), { timeoutMs: 2_000 });
  expect(answer.ok).toBe(false);
  expect(heard).toEqual([]);
});

/** A node that dials whatever is allowed, and reaches nobody. */
function dialling(from: Record<string, string>) {
  const book = createAddressBook(networkId, null);
  const dialled: string[] = [];
  const greeter = createGreeter({
    host: {
      name: nameOf(100),
      request: async () => ok(known),
      reach: async (to) => {
        dialled.push(...to.addresses);
        return false;
      },
      comesFrom: (name) => {
        const address = from[nameToId(name)];
        return new Set(address === undefined ? [] : [address]);
      },
    },
    book,
    tag: 'test',
    wanted: () => [],
  });
  stops.push(greeter.stop);
  return { book, greeter, dialled };
}

test('who asks again and again with an address in vain is dialled less and less often', async () => {
  const { book, greeter, dialled } = dialling({ [idOf(1)]: '203.0.113.1' });
  book.offer(record(1, ['/ip4/203.0.113.1/tcp/1']), nameOf(1));
  for (let second = 0; second < 600; second++) {
    expect(await greeter.reach(nameOf(1))).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(dialled.length).toBeGreaterThan(5);
  expect(dialled.length).toBeLessThan(15);
});

test('however many strangers ask for it, no address is dialled often that they do not come from', async () => {
  const strangers = Array.from({ length: 60 }, (_, n) => n + 1);
  const joiner = 90;
  const { book, greeter, dialled } = dialling({
    ...Object.fromEntries(strangers.map((n) => [idOf(n), '203.0.113.1'])),
    [idOf(joiner)]: '10.0.0.5',
  });
  const ask = async (n: number, address: string, counter = 1n) => {
    book.offer(record(n, [address], counter), nameOf(n));
    return greeter.reach(nameOf(n));
  };
  // Other names, other ports: it stays one machine.
  for (const n of strangers) await ask(n, `/ip4/10.0.0.5/tcp/${n}`);
  expect(dialled).toHaveLength(8);
  // Other machines: they all ask from one address.
  for (const n of strangers) await ask(n, `/ip4/10.0.1.${n}/tcp/22`, 2n);
  expect(dialled).toHaveLength(16);
  // The one that is really there has lost nothing by it, nor has who asks from elsewhere.
  await ask(joiner, '/ip4/10.0.0.5/tcp/9');
  expect(dialled.at(-1)).toBe('/ip4/10.0.0.5/tcp/9');
  await ask(strangers[0] ?? 1, '/ip4/203.0.113.1/tcp/9', 3n);
  expect(dialled.at(-1)).toBe('/ip4/203.0.113.1/tcp/9');
  expect(dialled).toHaveLength(18);
  // A minute later there is room again.
  await vi.advanceTimersByTimeAsync(60_001);
  await ask(1, '/ip4/10.0.0.5/tcp/77', 4n);
  expect(dialled).toHaveLength(19);
});
