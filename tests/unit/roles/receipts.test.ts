/**
 * Goal: a storage receipt counts for one thing under one state of one section, given by an adult of
 * that state, and no other way (N41).
 * Method: what an elder may hand on, judged as a light client judges it; then with one look less,
 * which some answer must show.
 */
import { describe, expect, test } from 'vitest';
import { toXorName, nameToId } from '#address/xor-name.ts';
import { sha256 } from '#crypto/hash.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { countReceipts, signReceipt, storedChunk, type ReceiptStamp } from '#data/receipt.ts';
import { stampOf } from '#protocol/replication/index.ts';
import { signersUnder } from '#roles/light-client/receipts.ts';

const networkId = sha256(utf8('network'));
const seedOf = (n: number): Uint8Array => sha256(Uint8Array.of(n));
const nameOf = (n: number) => toXorName(ed25519PublicKey(seedOf(n)));
const elders = [1, 2, 3, 4, 5, 6, 7];
const adults = [11, 12, 13];
const late = 14;
const stranger = 99;
const thing = storedChunk(sha256(utf8('chunk')));

const authority = {
  key: new Uint8Array(96).fill(5),
  generation: 8n,
  elders: elders.map((n) => ({ name: nameOf(n), publicShare: new Uint8Array(96), index: n })),
  members: [...elders, ...adults, late].map((n) => ({
    name: nameOf(n),
    joined: n === late ? 8n : 0n,
    placement: nameOf(n),
    sharingKey: new Uint8Array(32),
  })),
};
const under = (generation: bigint, key = authority.key): ReceiptStamp =>
  stampOf({ key, generation });
const asked = under(7n);

interface Answer {
  readonly stamp: ReceiptStamp;
  readonly receipts: readonly { readonly holder: Uint8Array; readonly signature: Uint8Array }[];
}

const given = (by: readonly number[], signed: ReceiptStamp, stamp = signed): Answer => ({
  stamp,
  receipts: by.map((n) => ({
    holder: nameOf(n),
    signature: signReceipt(seedOf(n), networkId, signed, thing),
  })),
});

type Judge = (answer: Answer) => number;
type Known = Parameters<typeof signersUnder>[0];

const judged = (known: Known, by: ReceiptStamp, { stamp, receipts }: Answer): number => {
  const signers = signersUnder(known, by, stamp);
  if (signers.kind !== 'known') return 0;
  const isAllowed = (holder: Uint8Array): boolean =>
    signers.signers.has(nameToId(toXorName(holder)));
  return countReceipts(networkId, stamp, thing, receipts, isAllowed).length;
};
const honest: Judge = (answer) => judged(authority, asked, answer);

const otherKey = new Uint8Array(96).fill(6);
/** What an elder may hand on, and how many receipts that is. */
const answers: readonly (readonly [what: string, answer: Answer, count: number])[] = [
  ['three adults, as asked', given(adults, asked), 3],
  ['three adults, under the newest state', given(adults, under(8n)), 3],
  ['one adult three times', given([11, 11, 11], asked), 1],
  ['of an older generation', given(adults, under(6n)), 0],
  ['of an older generation, called the one that was asked by', given(adults, under(6n), asked), 0],
  ['of another key', given(adults, under(7n, otherKey)), 0],
  ['of another key, called this one', given(adults, under(7n, otherKey), asked), 0],
  ['of elders and strangers', given([1, 2, stranger], asked), 0],
  ['of one that was no member yet', given([late], asked), 0],
];

test.each(answers)('N41: receipts %s', (_, answer, count) => {
  expect(honest(answer)).toBe(count);
});

describe('planted bugs, N41', () => {
  const bugs: readonly (readonly [name: string, judge: Judge])[] = [
    [
      'the generation of the answer is not compared',
      (answer) => judged(authority, answer.stamp, answer),
    ],
    [
      'the key of the answer is not compared',
      (answer) =>
        countReceipts(networkId, answer.stamp, thing, answer.receipts, (holder) =>
          [...adults, late].some((n) => nameToId(nameOf(n)) === nameToId(toXorName(holder))),
        ).length,
    ],
    [
      'nobody looks when a member joined',
      (answer) => {
        const members = authority.members.map((each) => ({ ...each, joined: 0n }));
        return judged({ ...authority, members }, asked, answer);
      },
    ],
    ['elders count as holders', (answer) => judged({ ...authority, elders: [] }, asked, answer)],
    [
      'whoever signs is a holder',
      (answer) => countReceipts(networkId, answer.stamp, thing, answer.receipts, () => true).length,
    ],
  ];

  test.each(bugs)('%s: some answer shows it', (_, judge) => {
    const wrong = answers.filter(([, answer, count]) => judge(answer) !== count);
    expect(wrong.length).toBeGreaterThan(0);
  });
});
