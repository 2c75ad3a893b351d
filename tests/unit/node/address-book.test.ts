/** Goal: a node is dialled where it last said it is, and nobody else can say it (N28). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createAddressBook, maxKnownNodes } from '#node/address-book.ts';
import { createSigner, publicKeyOf } from '#node/native-ed25519.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';

const networkId = new Uint8Array(32).fill(1);
const seed = (n: number): Uint8Array => {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
};
const record = (n: number, counter: bigint, address: string, network = networkId): Uint8Array =>
  encodeAddressRecord(signAddressRecord(seed(n), network, counter, [address]));
const alice = publicKeyOf(seed(1));

test('N28: of two records the higher counter counts, in whatever order they come', () => {
  const book = createAddressBook(networkId, null);
  expect(book.offer(record(1, 2n, '/ip4/127.0.0.1/tcp/2'))).toBe('news');
  expect(book.offer(record(1, 1n, '/ip4/127.0.0.1/tcp/1'))).toBe('known');
  expect(book.addressesOf(alice)).toEqual(['/ip4/127.0.0.1/tcp/2']);
  expect(book.offer(record(1, 3n, '/ip4/127.0.0.1/tcp/3'))).toBe('news');
  expect(book.addressesOf(alice)).toEqual(['/ip4/127.0.0.1/tcp/3']);
});

test('a record that mallory made for alice, or for another network, is refused', () => {
  const book = createAddressBook(networkId, null);
  const forged = record(1, 9n, '/ip4/127.0.0.1/tcp/9');
  forged.set(createSigner(seed(2))(forged), forged.length - 64);
  expect(book.offer(forged)).toBe('refused');
  expect(book.offer(record(1, 9n, '/ip4/127.0.0.1/tcp/9', new Uint8Array(32)))).toBe('refused');
  expect(book.offer(new Uint8Array(100))).toBe('refused');
  expect(book.addressesOf(alice)).toEqual([]);
});

test('the book survives a restart', () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-book-'));
  const path = join(folder, 'addresses');
  const book = createAddressBook(networkId, path);
  book.offer(record(1, 5n, '/ip4/127.0.0.1/tcp/5'));
  book.offer(record(2, 1n, '/ip4/127.0.0.1/tcp/6'));
  book.keep();
  const again = createAddressBook(networkId, path);
  expect(again.names()).toHaveLength(2);
  // The counter is remembered with it: an old record stays old.
  expect(again.offer(record(1, 4n, '/ip4/127.0.0.1/tcp/4'))).toBe('known');
  rmSync(folder, { recursive: true });
});

test('wanted names come first in what is told', () => {
  const book = createAddressBook(networkId, null);
  for (let n = 1; n <= 10; n++) book.offer(record(n, 1n, `/ip4/127.0.0.1/tcp/${n}`));
  const told = book.records(3, [alice, publicKeyOf(seed(4))]);
  expect(told).toHaveLength(3);
  expect(told[0]).toEqual(book.recordOf(alice));
  expect(told[1]).toEqual(book.recordOf(publicKeyOf(seed(4))));
});

test('a flood of strangers pushes out strangers and no member', () => {
  // Signing 4096 records takes a while: the bound is the code's own, the flood a small one.
  expect(maxKnownNodes).toBe(4096);
  const book = createAddressBook(networkId, null, 4);
  book.pin(new Set([Buffer.from(alice).toString('hex')]));
  for (let n = 1; n <= 12; n++) book.offer(record(n, 1n, `/ip4/127.0.0.1/tcp/${n}`));
  expect(book.names()).toHaveLength(4);
  expect(book.recordOf(alice)).not.toBeNull();
});
