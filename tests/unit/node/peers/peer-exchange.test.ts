/**
 * Goal: members are contacted, unknown nodes are dialled only on request, and reached means dialled
 * (N28, N40).
 * Method: a fake host that records its dials; for N40 real hosts over TCP.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { ok } from '#core/result.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { createAddressBook, type AddressBook } from '#node/peers/address-book.ts';
import { createPeerExchange, type PeerExchange } from '#node/peers/peer-exchange.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import { decodeNodeRequest, encodeNodeReply } from '#roles/wire/node-requests.ts';

const networkId = new Uint8Array(32).fill(1);
const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const nameOf = (n: number): Uint8Array => publicKeyOf(seed(n));
const record = (n: number, addresses: readonly string[] = ['/ip4/127.0.0.1/tcp/1'], counter = 1n) =>
  encodeAddressRecord(signAddressRecord(seed(n), networkId, counter, addresses));
const known = encodeNodeReply({ kind: 'addresses', records: [] });

const stops: (() => Promise<unknown>)[] = [];
beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

function exchangeRequest(book: AddressBook, members: readonly number[]) {
  const dialled: string[] = [];
  const greeter = createPeerExchange({
    host: {
      name: nameOf(100),
      request: async (to) => {
        dialled.push(nameToId(to.name));
        return ok(known);
      },
      checkReachable: async () => true,
      addressGroupsOf: () => new Set(),
    },
    book,
    tag: 'test',
    wanted: () => members.map(nameOf),
  });
  stops.push(greeter.stop);
  return { greeter, dialled };
}
const idOf = (n: number): string => nameToId(nameOf(n));

test('members are contacted in turn, those of other sections in between, unknown nodes never', async () => {
  const book = createAddressBook(networkId, null);
  const [members, elsewhere, strangers] = [
    [1, 2, 3, 4],
    [5, 6],
    [7, 8, 9, 10, 11, 12],
  ];
  for (const n of [...members, ...elsewhere]) book.offer(record(n));
  book.pin(new Set([...members, ...elsewhere].map(idOf)));
  for (const n of strangers) expect(book.offer(record(n), nameOf(n))).toBe('news');
  const { dialled } = exchangeRequest(book, members);
  await vi.advanceTimersByTimeAsync(8 * 5_000);
  expect(dialled).toHaveLength(8);
  const count = (of: readonly number[]) => dialled.filter((id) => of.map(idOf).includes(id)).length;
  expect([count(members), count(elsewhere), count(strangers)]).toEqual([6, 2, 0]);
  expect(new Set(dialled).size).toBe(6);
});

test('before the members are known, nodes named by the join point are contacted', async () => {
  const book = createAddressBook(networkId, null);
  for (const n of [1, 2]) book.offer(record(n));
  const { dialled, greeter } = exchangeRequest(book, []);
  await greeter.exchangeWithAll();
  expect(dialled).toEqual([idOf(1), idOf(2)]);
});

test('after a forged record the rest of an exchange is not read', () => {
  const book = createAddressBook(networkId, null);
  book.pin(new Set([idOf(1)]));
  const { greeter } = exchangeRequest(book, [1]);
  const forged = record(2);
  forged.set(new Uint8Array(64), forged.length - 64);
  const offered = vi.spyOn(book, 'offer');
  const records = [record(1), forged, ...Array.from({ length: 14 }, (_, n) => record(20 + n))];
  const reply = greeter.answer({ kind: 'exchangeAddresses', records, wanted: [] }, nameOf(1), null);
  expect(reply.kind).toBe('addresses');
  expect(offered).toHaveBeenCalledTimes(2);
});

const startHost = async (n: number): Promise<NodeHost> => {
  const host = await createNodeHost({
    ...{ identitySeed: seed(n), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  stops.push(host.stop);
  return host;
};
const answering = async (host: NodeHost, greeter?: PeerExchange): Promise<void> =>
  host.serve('section', 'test', async (bytes, from) => {
    const request = decodeNodeRequest(bytes);
    if (!request.ok || request.value.kind !== 'exchangeAddresses' || from.name === null)
      return known;
    return greeter === undefined
      ? known
      : encodeNodeReply(greeter.answer(request.value, from.name, from.address));
  });

test('N40: a joiner with another node’s address is not reached, and its own connection is no proof', async () => {
  vi.useRealTimers();
  const [elder, honest, ghost] = [await startHost(1), await startHost(2), await startHost(3)];
  const book = createAddressBook(networkId, null);
  const greeter = createPeerExchange({ host: elder, book, tag: 'test', wanted: () => [] });
  stops.push(greeter.stop);
  for (const host of [elder, honest, ghost])
    await answering(host, host === elder ? greeter : undefined);
  const [there = ''] = honest.addresses();
  book.offer(record(2, [there]), honest.name);
  expect(await greeter.reach(honest.name)).toBe(true);

  // It may claim another node's address, with that node's id or without.
  for (const [at, address] of [there, `${there}/p2p/${honest.peerId}`].entries()) {
    book.offer(record(3, [address], BigInt(at + 1)), ghost.name);
    expect(await greeter.reach(ghost.name)).toBe(false);
  }
  // It may hold a connection that it opened itself.
  const to = { name: elder.name, addresses: elder.addresses() };
  const hello = new Uint8Array([1]);
  expect((await ghost.request(to, 'section', 'test', hello, { timeoutMs: 5_000 })).ok).toBe(true);
  book.offer(record(3, ['/ip4/127.0.0.1/tcp/9'], 3n), ghost.name);
  expect(await greeter.reach(ghost.name)).toBe(false);
  book.offer(record(3, ghost.addresses(), 4n), ghost.name);
  expect(await greeter.reach(ghost.name)).toBe(true);
  // Requests in progress on the open connection continue.
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

/** A node that dials all allowed addresses and reaches none. */
function dialling(from: Record<string, string>) {
  const book = createAddressBook(networkId, null);
  const dialled: string[] = [];
  const greeter = createPeerExchange({
    host: {
      name: nameOf(100),
      request: async () => ok(known),
      checkReachable: async (to) => {
        dialled.push(...to.addresses);
        return false;
      },
      addressGroupsOf: (name) => {
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

test('repeated requests with an unreachable address are dialled less and less often', async () => {
  const { book, greeter, dialled } = dialling({ [idOf(1)]: '203.0.113.1' });
  book.offer(record(1, ['/ip4/203.0.113.1/tcp/1']), nameOf(1));
  for (let second = 0; second < 600; second++) {
    expect(await greeter.reach(nameOf(1))).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(dialled.length).toBeGreaterThan(5);
  expect(dialled.length).toBeLessThan(15);
});

test('however many unknown nodes ask, an address they are not connected from is dialled rarely', async () => {
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
  // Other names and ports are still one computer.
  for (const n of strangers) await ask(n, `/ip4/10.0.0.5/tcp/${n}`);
  expect(dialled).toHaveLength(8);
  // Other computers: all requests come from one address.
  for (const n of strangers) await ask(n, `/ip4/10.0.1.${n}/tcp/22`, 2n);
  expect(dialled).toHaveLength(16);
  // The node at that address and requesters from elsewhere are not limited by it.
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
