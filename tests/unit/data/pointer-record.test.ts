/** Goal: a pointer record has one owner in one network, and readers agree on the newest. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, toHex, utf8 } from '#core/codec/bytes.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import {
  choosePointer,
  comparePointers,
  decodePointer,
  encodePointer,
  MAX_POINTER_CIPHERTEXT_BYTES,
  decodeVerifiedPointer,
  pointerAddress,
  pointerVerdict,
  signPointer,
  verifyPointer,
} from '#data/pointer-record.ts';
import { storedChunk, storedPointer } from '#data/storage-receipt.ts';
import { signReceipt, verifyReceipt } from '../../support/receipts.ts';

const filled = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);
const network = filled(1);
const stateRef = { keyHash: filled(6), generation: 3n };
const seed = filled(2);
const owner = ed25519PublicKey(seed);
const address = pointerAddress(network, owner);
const made = (version: bigint, body: string, net = network, by = seed) =>
  signPointer(net, by, version, utf8(body));

test("the address is SHA-256('safe/pointer/v1' ‖ networkId ‖ owner), as wire.md defines", () => {
  const preimage = concat(utf8('safe/pointer/v1'), network, owner);
  expect(toHex(address)).toBe(createHash('sha256').update(preimage).digest('hex'));
});

test('golden: an encoded record of fixed inputs', () => {
  const bytes = encodePointer(made(7n, 'body'));
  expect(toHex(bytes)).toMatchInlineSnapshot(
    `"018139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394000000000000000700000004626f64797f521697bf893addb871ef520f4edeed21770e6e5f3924228bd441c529ef5a0db5a2fa6167006ceda7faaf83d6dd30d4b9fb28fdc5bf254decd1effc02975e0c"`,
  );
});

test('a record survives its encoding and verifies in its own network only', () => {
  const record = made(3n, 'index');
  const decoded = decodePointer(encodePointer(record));
  expect(decoded).toEqual({ ok: true, value: record });
  expect(verifyPointer(network, record)).toBe(true);
  expect(verifyPointer(filled(9), record)).toBe(false);
});

test('every single flipped bit of a record is rejected', () => {
  const bytes = encodePointer(made(3n, 'index'));
  for (let i = 0; i < bytes.length; i++) {
    const bent = bytes.slice();
    bent[i] = (bent[i] ?? 0) ^ (1 << (i & 7));
    expect(decodeVerifiedPointer(network, address, bent).ok).toBe(false);
  }
  expect(decodeVerifiedPointer(network, address, bytes).ok).toBe(true);
});

test('a record of another owner is rejected at this address', () => {
  const other = encodePointer(made(9n, 'x', network, filled(5)));
  expect(decodeVerifiedPointer(network, address, other)).toEqual({
    ok: false,
    error: 'otherAddress',
  });
});

test('readers choose the highest valid version among holders, one of them lying', () => {
  const forged = encodePointer({ ...made(2n, 'b'), version: 99n });
  const copies = [made(1n, 'a'), made(2n, 'b'), made(1n, 'a')].map(encodePointer);
  expect(choosePointer(network, address, [...copies, forged])?.version).toBe(2n);
  expect(choosePointer(network, address, [forged, filled(0, 10)])).toBeNull();
});

test('all readers order two bodies of one version the same way', () => {
  const [a, b] = [made(4n, 'one'), made(4n, 'two')];
  const chosen = [
    [a, b],
    [b, a],
  ].map((copies) => choosePointer(network, address, copies.map(encodePointer)));
  expect(chosen[0]).toEqual(chosen[1]);
  expect(Math.sign(comparePointers(a, b))).toBe(-Math.sign(comparePointers(b, a)));
});

test('an adult refuses a lower version and another body of the same version', () => {
  const kept = made(4n, 'kept');
  expect(pointerVerdict(kept, made(5n, 'x'))).toBe('newer');
  expect(pointerVerdict(kept, made(3n, 'x'))).toBe('older');
  expect(pointerVerdict(kept, made(4n, 'x'))).toBe('taken');
  expect(pointerVerdict(kept, made(4n, 'kept'))).toBe('same');
});

test('64 KiB of ciphertext fit; one byte more is a programmer error', () => {
  const full = signPointer(network, seed, 1n, new Uint8Array(MAX_POINTER_CIPHERTEXT_BYTES));
  expect(decodeVerifiedPointer(network, address, encodePointer(full)).ok).toBe(true);
  const over = new Uint8Array(MAX_POINTER_CIPHERTEXT_BYTES + 1);
  expect(() => signPointer(network, seed, 1n, over)).toThrow();
});

test('decoding a record never throws, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      decodeVerifiedPointer(network, address, bytes);
    }),
  );
});

test('N41: a receipt is valid only for its holder, network, state reference and item', () => {
  const thing = storedChunk(filled(7));
  const signature = signReceipt(seed, network, stateRef, thing);
  expect(verifyReceipt(owner, network, stateRef, thing, signature)).toBe(true);
  expect(verifyReceipt(owner, filled(9), stateRef, thing, signature)).toBe(false);
  expect(verifyReceipt(owner, network, stateRef, storedChunk(filled(8)), signature)).toBe(false);
  expect(verifyReceipt(ed25519PublicKey(filled(5)), network, stateRef, thing, signature)).toBe(
    false,
  );
  for (const other of [
    { ...stateRef, generation: 4n },
    { ...stateRef, keyHash: filled(7) },
  ]) {
    expect(verifyReceipt(owner, network, other, thing, signature)).toBe(false);
  }
  const pointer = storedPointer(network, made(4n, 'one'));
  const kept = signReceipt(seed, network, stateRef, pointer);
  expect(verifyReceipt(owner, network, stateRef, pointer, kept)).toBe(true);
  expect(
    verifyReceipt(owner, network, stateRef, storedPointer(network, made(4n, 'two')), kept),
  ).toBe(false);
  expect(
    verifyReceipt(owner, network, stateRef, storedPointer(network, made(5n, 'one')), kept),
  ).toBe(false);
});
