/** Goal: a node is dialled at the newest addresses that it signed itself (N28). */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import {
  createAddressBook,
  maxKnownNodes,
  maxNonMemberRecordBytes,
  maxNonMembers,
} from '#node/peers/address-book.ts';
import { createSigner, publicKeyOf } from '#node/keys/native-ed25519.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';

const networkId = new Uint8Array(32).fill(1);
const seed = (n: number): Uint8Array => {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
};
const record = (n: number, counter: bigint, address: string, network = networkId): Uint8Array =>
  encodeAddressRecord(signAddressRecord(seed(n), network, counter, [address]));
const nameOf = (n: number): Uint8Array => publicKeyOf(seed(n));
const idOf = (n: number): string => Buffer.from(nameOf(n)).toString('hex');
const alice = nameOf(1);
/** Long enough to write a small file. */
const settled = () => new Promise((go) => setTimeout(go, 50));

test('N28: of two records the one with the higher counter wins, in any order of arrival', () => {
  const book = createAddressBook(networkId, null);
  expect(book.offer(record(1, 2n, '/ip4/127.0.0.1/tcp/2'))).toBe('news');
  expect(book.offer(record(1, 1n, '/ip4/127.0.0.1/tcp/1'))).toBe('known');
  expect(book.addressesOf(alice)).toEqual(['/ip4/127.0.0.1/tcp/2']);
  expect(book.offer(record(1, 3n, '/ip4/127.0.0.1/tcp/3'))).toBe('news');
  expect(book.addressesOf(alice)).toEqual(['/ip4/127.0.0.1/tcp/3']);
});

test('a record of another signer or network is refused', () => {
  const book = createAddressBook(networkId, null);
  const forged = record(1, 9n, '/ip4/127.0.0.1/tcp/9');
  forged.set(createSigner(seed(2))(forged), forged.length - 64);
  expect(book.offer(forged)).toBe('forged');
  expect(book.offer(record(1, 9n, '/ip4/127.0.0.1/tcp/9', new Uint8Array(32)))).toBe('forged');
  expect(book.offer(new Uint8Array(100))).toBe('forged');
  expect(book.addressesOf(alice)).toEqual([]);
});

test('members’ records survive a restart, and other nodes’ records are not written', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-book-'));
  const path = join(folder, 'addresses');
  const book = createAddressBook(networkId, path);
  book.offer(record(1, 5n, '/ip4/127.0.0.1/tcp/5'));
  book.offer(record(2, 1n, '/ip4/127.0.0.1/tcp/6'));
  book.pin(new Set([idOf(1)]));
  await book.close();
  const again = createAddressBook(networkId, path);
  expect(again.names()).toEqual([alice]);
  // The counter is saved too, so an old record is still refused.
  expect(again.offer(record(1, 4n, '/ip4/127.0.0.1/tcp/4'))).toBe('known');
  rmSync(folder, { recursive: true });
});

test('only members’ records cause writes, at most once a minute, and never within the call', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-book-'));
  const path = join(folder, 'addresses');
  let now = 0;
  const book = createAddressBook(networkId, path, { nowMs: () => now });
  book.pin(new Set([idOf(1)]));
  for (let n = 2; n <= 70; n++) book.offer(record(n, 1n, '/ip4/127.0.0.1/tcp/1'), nameOf(n));
  book.saveSoon();
  await settled();
  expect(existsSync(path)).toBe(false);
  book.offer(record(1, 1n, '/ip4/127.0.0.1/tcp/1'));
  book.saveSoon();
  expect(existsSync(path)).toBe(false);
  await vi.waitFor(() => expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(2), {
    timeout: 20_000,
  });
  const first = readFileSync(path, 'utf8');
  book.offer(record(1, 2n, '/ip4/127.0.0.1/tcp/2'));
  now += 59_999;
  book.saveSoon();
  await settled();
  expect(readFileSync(path, 'utf8')).toBe(first);
  now += 1;
  book.saveSoon();
  await vi.waitFor(() => expect(readFileSync(path, 'utf8')).not.toBe(first), { timeout: 20_000 });
  rmSync(folder, { recursive: true });
});

test('a disk error is logged and stops nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-book-'));
  const errors: unknown[] = [];
  let now = 0;
  const book = createAddressBook(networkId, join(folder, 'gone', 'addresses'), {
    onError: (error) => errors.push(error),
    nowMs: () => now,
  });
  book.offer(record(1, 1n, '/ip4/127.0.0.1/tcp/1'));
  book.saveSoon();
  await vi.waitFor(() => expect(errors).toHaveLength(1), { timeout: 20_000 });
  now += 60_000;
  book.saveSoon();
  await vi.waitFor(() => expect(errors).toHaveLength(2), { timeout: 20_000 });
  await expect(book.close()).resolves.toBeUndefined();
  expect(book.addressesOf(alice)).toHaveLength(1);
  rmSync(folder, { recursive: true });
});

test('an unreadable book is not overwritten, and is merged with the new one once it can be read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-book-'));
  const [path, kept] = [join(folder, 'addresses'), join(folder, 'kept')];
  writeFileSync(kept, `${Buffer.from(record(1, 1n, '/ip4/127.0.0.1/tcp/1')).toString('hex')}\n`);
  symlinkSync(path, path); // A link to itself: it exists and cannot be read.
  const errors: unknown[] = [];
  let now = 0;
  const options = { onError: (error: unknown) => errors.push(error), nowMs: () => now };
  const book = createAddressBook(networkId, path, options);
  expect(errors).toHaveLength(1);
  book.offer(record(2, 1n, '/ip4/127.0.0.1/tcp/2'));
  book.saveSoon();
  await settled();
  expect(lstatSync(path).isSymbolicLink()).toBe(true);
  expect(errors).toHaveLength(2);
  rmSync(path);
  symlinkSync(kept, path);
  now += 60_000;
  book.saveSoon();
  await book.close();
  expect(book.addressesOf(alice)).toHaveLength(1);
  const again = createAddressBook(networkId, path);
  for (const n of [1, 2]) expect(again.addressesOf(nameOf(n))).toHaveLength(1);
  rmSync(folder, { recursive: true });
});

test('wanted names come first in the answer', () => {
  const book = createAddressBook(networkId, null);
  for (let n = 1; n <= 10; n++) book.offer(record(n, 1n, `/ip4/127.0.0.1/tcp/${n}`));
  const told = book.records(3, [alice, publicKeyOf(seed(4))]);
  expect(told).toHaveLength(3);
  expect(told[0]).toEqual(book.recordOf(alice));
  expect(told[1]).toEqual(book.recordOf(publicKeyOf(seed(4))));
});

test('a flood of unknown nodes evicts unknown nodes and no member', () => {
  // Signing 4096 records takes long: the limit is the real one, the flood is small.
  expect([maxKnownNodes, maxNonMembers, maxNonMemberRecordBytes]).toEqual([4096, 64, 1024]);
  const book = createAddressBook(networkId, null, { nonMembers: 3 });
  book.pin(new Set([idOf(1)]));
  for (let n = 1; n <= 12; n++) book.offer(record(n, 1n, '/ip4/127.0.0.1/tcp/1'), nameOf(n));
  expect(book.names()).toHaveLength(4);
  expect(book.pinned()).toEqual([alice]);
});

test('an unknown node may add only its own record; indirectly known nodes are evicted for connected ones', () => {
  const book = createAddressBook(networkId, null, { nonMembers: 2 });
  book.pin(new Set([idOf(1)]));
  const at = '/ip4/127.0.0.1/tcp/1';
  expect(book.offer(record(3, 1n, at), nameOf(2))).toBe('refused');
  expect(book.offer(record(2, 1n, at), nameOf(2))).toBe('news');
  expect(book.offer(record(3, 1n, at), alice)).toBe('news');
  expect(book.offer(record(4, 1n, at), nameOf(4))).toBe('news');
  expect(book.names()).toEqual([nameOf(2), nameOf(4)]);
  expect(book.offer(record(5, 1n, at), alice)).toBe('refused');
});

test('unknown nodes of one address evict only each other, and none from another address', () => {
  const book = createAddressBook(networkId, null);
  book.pin(new Set());
  const come = (n: number, address: string | null) =>
    book.offer(record(n, 1n, '/ip4/127.0.0.1/tcp/1'), nameOf(n), address);
  expect(come(1, '198.51.100.7')).toBe('news');
  for (let n = 2; n <= 200; n++) expect(come(n, '203.0.113.1')).toBe('news');
  expect(book.names()).toHaveLength(maxNonMembers);
  expect(book.recordOf(nameOf(1))).not.toBeNull();
  expect(book.recordOf(nameOf(2))).toBeNull();
  // A later node still gets a place, and so does the next one.
  expect(come(201, '198.51.100.8')).toBe('news');
  expect(come(202, null)).toBe('news');
  for (let n = 203; n <= 400; n++) come(n, '203.0.113.1');
  for (const n of [1, 201, 202]) expect(book.recordOf(nameOf(n))).not.toBeNull();
  // With as many addresses as places the oldest is evicted.
  for (let n = 401; n <= 470; n++) expect(come(n, `198.18.0.${n - 400}`)).toBe('news');
  expect(book.names()).toHaveLength(maxNonMembers);
});

test('a long record is accepted only of a member, and removed when membership ends', () => {
  const book = createAddressBook(networkId, null);
  const long = Array.from({ length: 8 }, (_, n) => `/ip4/127.0.0.1/tcp/1/${String(n).repeat(200)}`);
  const of = (n: number) => encodeAddressRecord(signAddressRecord(seed(n), networkId, 1n, long));
  book.pin(new Set([idOf(1)]));
  expect(book.offer(of(1), alice)).toBe('news');
  expect(book.offer(of(2), nameOf(2))).toBe('refused');
  book.pin(new Set([idOf(2)]));
  expect(book.names()).toEqual([]);
});

test('before the members are known, records from the disk and the join point are not evicted', () => {
  const book = createAddressBook(networkId, null, { nonMembers: 2 });
  for (let n = 1; n <= 3; n++) book.offer(record(n, 1n, '/ip4/127.0.0.1/tcp/1'));
  for (let n = 4; n <= 9; n++) book.offer(record(n, 1n, '/ip4/127.0.0.1/tcp/1'), nameOf(n));
  expect(book.pinned()).toEqual([1, 2, 3].map(nameOf));
  expect(book.names()).toHaveLength(5);
});

test('only IP addresses of a record are dialled, and loopback only by a node without a public address', () => {
  const book = createAddressBook(networkId, null);
  const some = ['/dns4/victim.example/tcp/25', '/ip4/127.0.0.1/tcp/25', '/ip4/203.0.113.1/tcp/25'];
  book.offer(encodeAddressRecord(signAddressRecord(seed(1), networkId, 1n, some)));
  expect(book.addressesOf(alice)).toEqual(some.slice(1));
  book.offerOwn(record(2, 1n, '/ip4/127.0.0.1/tcp/1'));
  expect(book.addressesOf(alice)).toEqual(some.slice(1));
  book.offerOwn(record(2, 2n, '/ip4/198.51.100.7/tcp/1'));
  expect(book.addressesOf(alice)).toEqual(some.slice(2));
});
