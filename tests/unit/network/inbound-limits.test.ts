/**
 * Goal: the bytes that non-members can make a node hold, and their invalid requests, are bounded per peer,
 * per address and for the node; correct peers notice nothing. Method: a manual clock.
 */
import { expect, test } from 'vitest';
import {
  maxHeldByNonMembers,
  maxHeldBytes,
  maxHeldPerAddress,
  maxHeldPerPeer,
  type StreamAccount,
} from '#network/limits/held-bytes.ts';
import {
  addressGroup,
  createBuckets,
  createInboundLimits,
  banMs,
  hostGroup,
  maxConnectionsPerAddress,
  maxConnectsPerSecond,
  maxInvalidPerAddress,
  maxInvalidPerPeer,
  maxReservedConnections,
  maxReservedConnectsPerSecond,
  strikeWindowMs,
  type InboundPeer,
} from '#network/limits/inbound-limits.ts';
import {
  maxNonMemberReservations,
  maxNonMemberReservationsPerAddress,
  mayReserve,
} from '#network/limits/relay-reservations.ts';
import { limitInboundDials } from '#network/rtc/inbound-limit.ts';

const mebibyte = 1024 * 1024;
const caller = (peerId: string, address: string | null = null, known = false): InboundPeer => ({
  peerId,
  address,
  isMember: () => known,
});

test('bytes are bounded per peer, over all its streams, and free when a stream ends', () => {
  const inbound = createInboundLimits(() => 0);
  const streams = Array.from({ length: 3 }, () => inbound.open(caller('a'), () => undefined));
  const [first, second, third] = streams as [StreamAccount, StreamAccount, StreamAccount];
  expect(first.hold(maxHeldPerPeer - mebibyte)).toBe(true);
  expect(second.hold(mebibyte)).toBe(true);
  expect(third.hold(1)).toBe(false);
  second.close();
  expect(third.hold(mebibyte)).toBe(true);
  first.close();
  first.free(mebibyte); // Closing later frees nothing twice.
  expect(inbound.heldBytes()).toBe(mebibyte);
  third.close();
  expect(inbound.heldBytes()).toBe(0);
});

test('peer ids of one address share its budget', () => {
  const inbound = createInboundLimits(() => 0);
  let held = 0;
  for (let n = 0; n < 50; n++) {
    const account = inbound.open(caller(`id ${n}`, '192.0.2.1'), () => undefined);
    if (account.hold(4 * mebibyte)) held += 4 * mebibyte;
  }
  expect(held).toBe(maxHeldPerAddress);
  expect(inbound.open(caller('other', '192.0.2.2'), () => undefined).hold(mebibyte)).toBe(true);
});

test('non-members fill their bound → the largest gives way to a smaller one', () => {
  const inbound = createInboundLimits(() => 0);
  const ended: string[] = [];
  const open = (id: string): StreamAccount => inbound.open(caller(id), () => ended.push(id));
  const greedy = Array.from({ length: 10 }, (_, n) => open(`greedy ${n}`).hold(16 * mebibyte));
  expect(greedy.every(Boolean)).toBe(true);
  expect(inbound.heldBytes()).toBe(maxHeldByNonMembers);
  expect(open('honest').hold(mebibyte)).toBe(true);
  expect(ended).toEqual(['greedy 0']);
  expect(inbound.heldBytes()).toBeLessThanOrEqual(maxHeldByNonMembers);
});

test('non-members cannot take the space of members', () => {
  const inbound = createInboundLimits(() => 0);
  for (let n = 0; n < 40; n++) {
    inbound.open(caller(`id ${n}`), () => undefined).hold(16 * mebibyte);
  }
  expect(inbound.heldBytes()).toBeLessThanOrEqual(maxHeldByNonMembers);
  let elders = 0;
  for (let n = 0; n < 6; n++) {
    if (inbound.open(caller(`elder ${n}`, null, true), () => undefined).hold(16 * mebibyte))
      elders += 1;
  }
  expect(elders).toBe(6);
  expect(inbound.heldBytes()).toBeLessThanOrEqual(maxHeldBytes);
});

test('repeated invalid requests ban a peer for a while, a rare mistake is forgotten', () => {
  let now = 0;
  const inbound = createInboundLimits(() => now);
  const honest = caller('honest', '192.0.2.9');
  for (let n = 0; n < 10 * maxInvalidPerPeer; n++) {
    expect(inbound.strike(honest)).toBe(false);
    now += strikeWindowMs / (maxInvalidPerPeer - 2);
  }
  expect(inbound.isBanned(honest)).toBe(false);
  const liar = caller('liar', '192.0.2.1');
  for (let n = 1; n < maxInvalidPerPeer; n++) expect(inbound.strike(liar)).toBe(false);
  expect(inbound.strike(liar)).toBe(true);
  expect(inbound.isBanned(liar)).toBe(true);
  expect(inbound.isBanned(caller('neighbour', '192.0.2.1'))).toBe(false);
  now += banMs;
  expect(inbound.isBanned(liar)).toBe(false);
});

test('an address with changing peer ids is banned as a whole, and cannot connect', () => {
  const inbound = createInboundLimits(() => 0);
  for (let n = 0; n < maxInvalidPerAddress; n++) inbound.strike(caller(`id ${n}`, '192.0.2.1'));
  expect(inbound.isBanned(caller('new id', '192.0.2.1'))).toBe(true);
  expect(inbound.connect('192.0.2.1')).toBe(false);
  expect(inbound.isBanned(caller('new id', '192.0.2.2'))).toBe(false);
  // Peers of this machine have no address: only their ids count.
  for (let n = 0; n < maxInvalidPerAddress; n++) inbound.strike(caller(`id ${n}`));
  expect(inbound.isBanned(caller('new id'))).toBe(false);
});

test('connections of one address are bounded per second and in total', () => {
  let now = 0;
  const inbound = createInboundLimits(() => now);
  const connect = (times: number): number => {
    let opened = 0;
    for (let n = 0; n < times; n++) if (inbound.connect('192.0.2.1')) opened += 1;
    return opened;
  };
  expect(connect(1_000)).toBe(maxConnectsPerSecond);
  expect(inbound.connect('192.0.2.2')).toBe(true);
  expect(inbound.connect(null)).toBe(true);
  let open = maxConnectsPerSecond;
  for (; open < maxConnectionsPerAddress; now += 1_000) open += connect(1_000);
  expect(open).toBe(maxConnectionsPerAddress);
  expect(connect(1_000)).toBe(0);
  inbound.disconnected('192.0.2.1');
  expect(connect(1_000)).toBe(1);
});

test('the counters of peers and addresses are bounded', () => {
  let now = 0;
  const buckets = createBuckets(1, () => now);
  for (let n = 0; n < 20_000; n++) buckets.take(`address ${n}`);
  expect(buckets.size()).toBeLessThanOrEqual(4_096);
  now += 2_000;
  buckets.take('later');
  expect(buckets.size()).toBe(1);
});

test.each([
  ['/ip4/192.0.2.1/tcp/4001', '192.0.2.1'],
  ['/ip4/192.0.2.1/tcp/5/ws', '192.0.2.1'],
  ['/ip4/127.0.0.1/tcp/4001', null],
  ['/ip6/::1/tcp/4001', null],
  ['/ip6/2001:db8:0:7:1:2:3:4/tcp/1', '2001:db8:0:7::/64'],
  ['/ip6/2001:db8:0:7::9/udp/1/webrtc-direct', '2001:db8:0:7::/64'],
  ['/ip6/2001:0db8::1/tcp/1', '2001:db8:0:0::/64'],
  ['/ip4/192.0.2.1/tcp/1/p2p/R/p2p-circuit', null],
  ['/webrtc', null],
  ['/dns4/a.example/tcp/1', null],
])('%s counts as %s', (address, group) => {
  expect(addressGroup(address)).toBe(group);
});

test('a mapped IPv4 address is that IPv4 address', () => {
  expect(hostGroup('::ffff:192.0.2.1')).toBe('192.0.2.1');
  expect(hostGroup('::ffff:127.0.0.1')).toBeNull();
});

test('relay reservations of non-members are few, and fewer per address', () => {
  const full = Array.from({ length: maxNonMemberReservations }, (_, n) => `192.0.2.${n}`);
  expect(mayReserve(full, '198.51.100.1')).toBe(false);
  expect(mayReserve(full.slice(1), '198.51.100.1')).toBe(true);
  const own = Array.from({ length: maxNonMemberReservationsPerAddress }, () => '192.0.2.1');
  expect(mayReserve(own, '192.0.2.1')).toBe(false);
  expect(mayReserve(own, '192.0.2.2')).toBe(true);
  expect(
    mayReserve(
      own.map(() => null),
      null,
    ),
  ).toBe(true);
});

test('STUN packets of one address use only its own share of handshakes', async () => {
  let now = 0;
  let begun: string[] = [];
  const connections = new Map<string, unknown>();
  const transport = limitInboundDials(
    () => ({
      createListener: () => ({
        connections,
        incomingConnection: async (_ufrag: string, host: string) => void begun.push(host),
      }),
    }),
    25,
    5,
    () => now,
  )({});
  const listener = transport.createListener();
  const knock = async (host: string, times: number): Promise<number> => {
    begun = [];
    for (let n = 0; n < times; n++) {
      const given = [`u${n}`, host, 1, AbortSignal.abort()] as const;
      await (listener.incomingConnection as (...each: typeof given) => Promise<void>)(
        ...given,
      ).catch(() => undefined);
    }
    return begun.length;
  };
  expect(await knock('192.0.2.1', 1_000)).toBe(5);
  expect(await knock('192.0.2.2', 1_000)).toBe(5);
  now += 1_000;
  expect(await knock('192.0.2.1', 1_000)).toBe(5);
  for (let n = 0; n < 10; n++) await knock(`198.51.100.${n}`, 5);
  expect(await knock('203.0.113.1', 5)).toBe(0); // The total is bounded, too.
  now += 1_000;
  // Packets of existing connections are free.
  connections.set('192.0.2.1:1:u0', {});
  expect(await knock('192.0.2.1', 1)).toBe(0);
  expect(await knock('192.0.2.1', 6)).toBe(5);
});

test('at an address banned for non-members, members are served and may connect, non-members may not', () => {
  const inbound = createInboundLimits(() => 0);
  const shared = '192.0.2.7';
  const member = caller('member', shared, true);
  inbound.open(member, () => undefined); // Connected before the ban.
  for (let n = 0; n < maxInvalidPerAddress; n++) inbound.strike(caller(`id ${n}`, shared));
  expect(inbound.isBanned(caller('stranger', shared))).toBe(true);
  expect(inbound.isBanned(member)).toBe(false);
  const admitted = Array.from({ length: 40 }, () => inbound.connect(shared)).filter(Boolean);
  expect(admitted).toHaveLength(maxReservedConnectsPerSecond);
  expect(inbound.mayStay(member)).toBe(true);
  expect(inbound.mayStay(caller('stranger', shared))).toBe(false);
});

test('a member with invalid requests is banned itself, its address is not', () => {
  const inbound = createInboundLimits(() => 0);
  const liars = Array.from({ length: 8 }, (_, n) => caller(`member ${n}`, '192.0.2.7', true));
  for (const liar of liars) {
    for (let n = 0; n < maxInvalidPerPeer; n++) inbound.strike(liar);
    expect(inbound.isBanned(liar)).toBe(true);
  }
  expect(inbound.isBanned(caller('neighbour', '192.0.2.7'))).toBe(false);
});

test('non-members with all connections of an address leave a reserve to its members', () => {
  let now = 0;
  const inbound = createInboundLimits(() => now);
  const shared = '192.0.2.7';
  const open = (hasMember: boolean): number => {
    let count = 0;
    for (; now < 1_000_000; now += 1_000) {
      for (let n = 0; n < 40; n++) if (inbound.connect(shared, () => hasMember)) count += 1;
    }
    now = 0;
    return count;
  };
  expect(open(false)).toBe(maxConnectionsPerAddress);
  now = 2_000_000;
  expect(inbound.connect(shared)).toBe(false);
  expect(inbound.connect(shared, () => true)).toBe(true);
  expect(inbound.mayStay(caller('member', shared, true))).toBe(true);
  expect(inbound.mayStay(caller('stranger', shared))).toBe(false);
  let reserved = 1;
  for (; now < 3_000_000; now += 1_000) if (inbound.connect(shared, () => true)) reserved += 1;
  expect(reserved).toBe(maxReservedConnections);
});
