/**
 * Goal: no single elder prevents a Safe from being saved, and none alone decides its content. Method: seven
 * elders in front of the real `putPointer` and `getPointer`, some of them dishonest.
 */
import { expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { utf8 } from '#core/codec/bytes.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, ok } from '#core/result.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import { encodePointer, pointerAddress, signPointer } from '#data/pointer-record.ts';
import { storedPointer } from '#data/storage-receipt.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { eldersFor } from '#roles/light-client/elders-to-query.ts';
import {
  getPointer,
  putChunk,
  putPointer,
  type DataNode,
} from '../../../src/service-worker/data-client.ts';
import { elders, nameOf, networkId, sectionOf, seedOf } from './plain-section.ts';
import { signReceipt } from '../../support/receipts.ts';

const adults = [11, 12, 13, 14];
const section = sectionOf(adults);
const { authority } = section;

const owner = sha256(utf8('owner'));
const record = (version: bigint, text: string, seed = owner) =>
  signPointer(networkId, seed, version, utf8(text));
const address = pointerAddress(networkId, ed25519PublicKey(owner));
const order = eldersFor(section.elders, address).map(({ name }) => nameToId(name));

const stateRef = stateRefOf(authority);
const receiptsFor = (thing: ReturnType<typeof storedPointer>) =>
  adults.map((n) => ({
    holder: nameOf(n),
    signature: signReceipt(seedOf(n), networkId, stateRef, thing),
  }));

type Answer = Awaited<ReturnType<DataNode['requestFor']>>;
const refuse = (refusal: Refusal): Answer => err({ kind: 'refused', refusal });

/** @param answer the reply of the elder at this position of the order */
function nodeOf(answer: (place: number) => Answer) {
  const asked: number[] = [];
  const node: DataNode = {
    section: async () => section,
    requestFor: async (_name, elder) => {
      const place = order.indexOf(nameToId(elder.name));
      asked.push(place);
      return answer(place);
    },
    catchUp: async () => undefined,
    stall: () => null,
  };
  return { node, asked };
}

const mine = record(3n, 'mine');
const storedMine: Answer = ok({
  kind: 'pointerStored',
  stateRef,
  receipts: receiptsFor(storedPointer(networkId, mine)),
});

const lies: Record<string, Uint8Array> = {
  'no evidence': new Uint8Array(),
  'bytes that are no record': utf8('no record'),
  'an older record of the owner': encodePointer(record(2n, 'old')),
  'the very record that is written': encodePointer(mine),
  'a record of somebody else': encodePointer(record(9n, 'theirs', sha256(utf8('other')))),
  'a record signed for another network': encodePointer(
    signPointer(sha256(utf8('elsewhere')), owner, 9n, utf8('mine')),
  ),
};

for (const [what, evidence] of Object.entries(lies)) {
  test(`two false conflicts with ${what} do not keep a record from being stored`, async () => {
    const { node, asked } = nodeOf((place) =>
      place < 2 ? refuse({ kind: 'conflict', evidence }) : storedMine,
    );
    expect(await putPointer(node, encodePointer(mine))).toBe(4);
    expect(asked).toEqual([0, 1, 2]);
  });
}

test('one elder with a record that is not older ends the write: another device was first', async () => {
  for (const other of [record(3n, 'theirs'), record(4n, 'later')]) {
    const { node, asked } = nodeOf((place) =>
      place === 0 ? refuse({ kind: 'conflict', evidence: encodePointer(other) }) : storedMine,
    );
    await expect(putPointer(node, encodePointer(mine))).rejects.toMatchObject({
      status: 409,
      failure: { kind: 'versionTaken' },
    });
    expect(asked).toEqual([0]);
  }
});

test('no refusal of two elders, of any kind, ends a write', async () => {
  const kinds: readonly Refusal[] = [
    { kind: 'malformed', what: 'pointer' },
    { kind: 'unsupportedVersion', ours: 2, theirs: 1 },
    { kind: 'wrongNetwork' },
    { kind: 'full' },
    { kind: 'notFound' },
    { kind: 'busy', afterMs: 1 },
    { kind: 'notAllowed', rule: 'owner' },
    { kind: 'retry', proof: new Uint8Array() },
    { kind: 'redirect', proof: new Uint8Array() },
    { kind: 'sealed', links: new Uint8Array() },
    { kind: 'spent', certificate: new Uint8Array() },
  ];
  for (const refusal of kinds) {
    const { node } = nodeOf((place) => (place < 2 ? refuse(refusal) : storedMine));
    expect(await putPointer(node, encodePointer(mine))).toBe(4);
  }
});

test('a full network is reported by three elders, not by the last one asked', async () => {
  const bytes = utf8('a piece');
  const byCount = async (full: number) => {
    // The order for a chunk differs: elders asked late report a full network.
    let left = elders.length;
    const { node } = nodeOf(() =>
      left-- > full ? err({ kind: 'unreachable' }) : refuse({ kind: 'full' }),
    );
    return putChunk(node, bytes).catch((error: { status: number }) => error.status);
  };
  expect(await byCount(2)).toBe(503);
  expect(await byCount(3)).toBe(507);
});

test('two elders with an old version do not hide the newest one', async () => {
  const newest = encodePointer(record(5n, 'newest'));
  const copies = (bytes: Uint8Array) =>
    ok({
      kind: 'pointers' as const,
      copies: adults.map((n) => ({ holder: nameOf(n), record: bytes })),
    });
  const old = encodePointer(record(1n, 'old'));
  const { node } = nodeOf((place) => copies(place < 2 ? old : newest));
  expect(await getPointer(node, address)).toEqual(newest);
});

test("reports without a member's copy do not count", async () => {
  const newest = encodePointer(record(5n, 'newest'));
  const empty = ok({ kind: 'pointers' as const, copies: [] });
  const whole = ok({
    kind: 'pointers' as const,
    copies: adults.map((n) => ({ holder: nameOf(n), record: newest })),
  });
  const { node, asked } = nodeOf((place) => (place < 2 ? empty : whole));
  expect(await getPointer(node, address)).toEqual(newest);
  expect(asked).toEqual([0, 1, 2, 3, 4]);
});
