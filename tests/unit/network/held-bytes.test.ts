/**
 * Goal: held bytes are shared by address and membership, and space is taken from the largest or a stalled
 * holder. Method: a manual clock, and accounts without streams.
 */
import { expect, test } from 'vitest';
import {
  minProgressBytes,
  maxHeldByNonMembers,
  maxHeldBytes,
  maxHeldPerAddress,
  maxHeldPerPeer,
  stallTimeoutMs,
  type StreamAccount,
} from '#network/limits/held-bytes.ts';
import {
  createInboundLimits,
  banMs,
  maxInvalidPerPeer,
  maxRefusedPerPeer,
  type InboundLimits,
} from '#network/limits/inbound-limits.ts';

const mebibyte = 1024 * 1024;
const half = mebibyte / 2;

interface World {
  readonly inbound: InboundLimits;
  readonly ended: string[];
  readonly wait: (ms: number) => void;
  readonly open: (peerId: string, address: string | null, known?: () => boolean) => StreamAccount;
}

function world(): World {
  let now = 0;
  const inbound = createInboundLimits(() => now);
  const ended: string[] = [];
  return {
    inbound,
    ended,
    wait: (ms) => (now += ms),
    open: (peerId, address, isMember = () => false) =>
      inbound.open({ peerId, address, isMember }, () => ended.push(peerId)),
  };
}
const isMember = (): boolean => true;

/** Peers of N addresses with half a mebibyte each, up to the bound of all non-members. */
function fill({ inbound, open }: World, addresses: readonly (string | null)[]): void {
  for (let n = 0; inbound.heldBytes() + half <= maxHeldByNonMembers; n++) {
    const address = addresses[n % addresses.length] ?? null;
    expect(open(`attacker ${n}`, address).receiving(half, half)).toBe(true);
  }
}
const fiveAddresses = Array.from({ length: 5 }, (_, n) => `198.51.100.${n}`);

test('non-members fill their address → its members still have the whole bound of members', () => {
  const { inbound, open } = world();
  for (let n = 0; inbound.heldBytes() < maxHeldPerAddress; n++) {
    open(`stranger ${n}`, '192.0.2.7').hold(mebibyte);
  }
  expect(open('one more', '192.0.2.7').hold(mebibyte)).toBe(false);
  expect(open('member', '192.0.2.7', isMember).hold(maxHeldPerPeer)).toBe(true);
});

test('at a full address, the largest peer gives way to a smaller one', () => {
  const all = world();
  for (let n = 0; n < 8; n++) all.open(`greedy ${n}`, '192.0.2.7').hold(8 * mebibyte);
  expect(all.inbound.heldBytes()).toBe(maxHeldPerAddress);
  for (let n = 0; n < 4; n++) {
    expect(all.open(`honest ${n}`, '192.0.2.7').hold(2 * mebibyte)).toBe(true);
  }
  expect(all.ended).toEqual(['greedy 0']);
});

test('nine members of one address process eight requests of 1 MiB each', () => {
  const { open, ended } = world();
  for (let n = 0; n < 9; n++) {
    const account = open(`member ${n}`, '192.0.2.7', isMember);
    for (let request = 0; request < 8; request++) expect(account.hold(mebibyte)).toBe(true);
  }
  expect(ended).toEqual([]);
});

test('an address with many small holders gives way to a larger request of another address', () => {
  const all = world();
  fill(all, fiveAddresses);
  for (let n = 0; n < 20; n++) {
    expect(all.open(`honest ${n}`, `192.0.2.${n}`).hold(mebibyte)).toBe(true);
  }
  expect(all.ended.every((id) => id.startsWith('attacker'))).toBe(true);
  expect(all.inbound.heldBytes()).toBeLessThanOrEqual(maxHeldByNonMembers);
});

test("many peers of few addresses end each other's streams, and no larger one of another address", () => {
  const all = world();
  for (let n = 0; n < 10; n++) all.open(`honest ${n}`, `192.0.2.${n}`).receiving(mebibyte, half);
  fill(all, fiveAddresses);
  for (let n = 0; n < 100; n++) {
    all.open(`later ${n}`, fiveAddresses[n % 5] ?? null).receiving(half, half);
  }
  expect(all.ended.some((id) => id.startsWith('honest'))).toBe(false);
});

test('peers without an address cannot crowd out those with one, and vice versa', () => {
  for (const [attackers, honest] of [
    [[null], '192.0.2.1'],
    [Array.from({ length: 320 }, (_, n) => `198.51.100.${n}`), null],
  ] as const) {
    const all = world();
    fill(all, attackers);
    expect(all.open('honest', honest).hold(8 * mebibyte)).toBe(true);
    expect(all.inbound.heldBytes()).toBeLessThanOrEqual(maxHeldByNonMembers);
  }
});

test.each([
  ['of as many addresses', (n: number) => `198.51.100.${n}`, '192.0.2.1'],
  ['without addresses', () => null, null],
])(
  'partial frames of many stalled peers %s give way to a larger request, progressing ones do not',
  (_, addressOf, address) => {
    const all = world();
    const accounts: StreamAccount[] = [];
    for (let n = 0; n < maxHeldByNonMembers / half; n++) {
      accounts.push(all.open(`peer ${n}`, addressOf(n)));
      accounts[n]?.receiving(half, half);
    }
    expect(all.open('early', address).hold(mebibyte)).toBe(false);
    // Some progress at the minimum rate, others send single bytes.
    for (let ms = 0; ms < stallTimeoutMs; ms += 1_000) {
      all.wait(1_000);
      accounts.forEach((account, n) => {
        account.receiving(half, n < 10 ? minProgressBytes / 8 : 1);
      });
    }
    expect(all.open('honest', address).hold(mebibyte)).toBe(true);
    expect(all.ended).toEqual(['peer 10', 'peer 11']);
  },
);

test('unread replies give way like partial frames, replies being read do not', () => {
  const all = world();
  const accounts: StreamAccount[] = [];
  for (let n = 0; all.inbound.heldBytes() < maxHeldByNonMembers; n++) {
    const account = all.open(`reader ${n}`, null);
    account.hold(mebibyte);
    account.sending(mebibyte, 0);
    accounts.push(account);
  }
  all.wait(stallTimeoutMs);
  accounts[0]?.sending(mebibyte - minProgressBytes, minProgressBytes);
  expect(all.open('honest', null).hold(2 * mebibyte)).toBe(true);
  expect(all.ended).toEqual(['reader 1', 'reader 2']);
});

test('a member takes the space of non-members, however little each of them holds', () => {
  const all = world();
  fill(all, fiveAddresses);
  for (let n = 0; n < 4; n++) all.open(`liar ${n}`, null, isMember).hold(maxHeldPerPeer);
  for (let n = 0; n < 12; n++) {
    expect(all.open(`member ${n}`, null, isMember).hold(8 * mebibyte)).toBe(true);
  }
  expect(all.ended.every((id) => id.startsWith('attacker'))).toBe(true);
  expect(all.inbound.heldBytes()).toBeLessThanOrEqual(maxHeldBytes);
});

test('among members the largest gives way, and non-members end no member', () => {
  const all = world();
  for (let n = 0; n < 10; n++) all.open(`liar ${n}`, null, isMember).hold(maxHeldPerPeer);
  expect(all.open('stranger', '192.0.2.1').hold(maxHeldPerPeer)).toBe(false);
  expect(all.ended).toEqual([]);
  for (let n = 0; n < 3; n++) {
    expect(all.open(`member ${n}`, null, isMember).hold(8 * mebibyte)).toBe(true);
  }
  expect(all.ended).toEqual(['liar 0']);
});

test('a peer counts as a member exactly while it is one', () => {
  const all = world();
  let members: readonly string[] = ['leaving'];
  const open = (id: string): StreamAccount => all.open(id, '192.0.2.7', () => members.includes(id));
  const [coming, leaving] = [open('coming'), open('leaving')];
  for (const account of [coming, leaving]) expect(account.hold(20 * mebibyte)).toBe(true);
  coming.receiving(mebibyte, mebibyte);
  members = ['coming'];
  for (const account of [coming, leaving]) expect(account.hold(mebibyte)).toBe(true);
  // Non-members of this address hold exactly what `leaving` holds.
  const rest = (maxHeldPerAddress - 21 * mebibyte) / 2;
  for (let n = 0; n < 2; n++) expect(open(`stranger ${n}`).hold(rest)).toBe(true);
  expect(open('one more').hold(rest)).toBe(false);
  coming.close();
  leaving.close();
  expect(all.inbound.heldBytes()).toBe(2 * rest);
});

test('a peer refused again and again is banned for a while; members and our programs are not', () => {
  const all = world();
  for (let n = 0; n < maxHeldByNonMembers / mebibyte; n++) {
    all.open(`peer ${n}`, `198.51.100.${n}`).hold(mebibyte);
  }
  const refuse = (peerId: string, known: () => boolean, bytes: number): boolean => {
    const account = all.open(peerId, '192.0.2.1', known);
    const refused = !account.hold(bytes);
    account.close();
    return refused;
  };
  const caller = (peerId: string) => ({ peerId, address: '192.0.2.1', isMember: () => false });
  const ofOurs = 8 * maxInvalidPerPeer;
  for (let n = 0; n < ofOurs; n++) expect(refuse('ours', () => false, 2 * mebibyte)).toBe(true);
  expect(all.inbound.isBanned(caller('ours'))).toBe(false);
  for (let n = 0; n < maxRefusedPerPeer; n++) refuse('greedy', () => false, 2 * mebibyte);
  expect(all.inbound.isBanned(caller('greedy'))).toBe(true);
  for (let n = 0; n < 2 * maxRefusedPerPeer; n++) {
    expect(refuse('member', isMember, maxHeldPerPeer + 1)).toBe(true);
  }
  expect(all.inbound.isBanned({ ...caller('member'), isMember })).toBe(false);
  all.wait(banMs);
  expect(all.inbound.isBanned(caller('greedy'))).toBe(false);
});

test("a refusal at the bound looks up only the requester's membership", () => {
  const all = world();
  let asked = 0;
  const known = (): boolean => {
    asked += 1;
    return false;
  };
  for (let n = 0; n < maxHeldByNonMembers / half; n++) {
    all.open(`peer ${n}`, `198.51.100.${n}`, known).hold(half);
  }
  const account = all.open('asker', '192.0.2.1', known);
  asked = 0;
  expect(account.hold(mebibyte)).toBe(false);
  expect(asked).toBeLessThanOrEqual(2);
});
