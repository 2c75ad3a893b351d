/**
 * Goal: a storage receipt counts only for one item under one state of one section, from an adult of that
 * state (N41).
 * Method: answers that an elder may forward, checked as a light client does; then with one check removed,
 * which some answer must reveal.
 */
import { describe, expect, test } from 'vitest';
import { toXorName, nameToId } from '#address/xor-name.ts';
import { sha256 } from '#crypto/hash.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { storedChunk, type StateRef } from '#data/storage-receipt.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { receiptSignersFor } from '#roles/light-client/receipt-signers.ts';
import { countReceipts, signReceipt } from '../../../support/receipts.ts';

const networkId = sha256(utf8('network'));
const seedOf = (n: number): Uint8Array => sha256(Uint8Array.of(n));
const nameOf = (n: number) => toXorName(ed25519PublicKey(seedOf(n)));
const elders = [1, 2, 3, 4, 5, 6, 7];
const adults = [11, 12, 13];
const late = 14;
const unknown = 99;
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
const under = (generation: bigint, key = authority.key): StateRef =>
  stateRefOf({ key, generation });
const asked = under(7n);

interface Answer {
  readonly stateRef: StateRef;
  readonly receipts: readonly { readonly holder: Uint8Array; readonly signature: Uint8Array }[];
}

const given = (by: readonly number[], signed: StateRef, stateRef = signed): Answer => ({
  stateRef,
  receipts: by.map((n) => ({
    holder: nameOf(n),
    signature: signReceipt(seedOf(n), networkId, signed, thing),
  })),
});

type Judge = (answer: Answer) => number;
type Known = Parameters<typeof receiptSignersFor>[0];

const judged = (known: Known, by: StateRef, { stateRef, receipts }: Answer): number => {
  const signers = receiptSignersFor(known, by, stateRef);
  if (signers.kind !== 'known') return 0;
  const isAllowed = (holder: Uint8Array): boolean =>
    signers.signers.has(nameToId(toXorName(holder)));
  return countReceipts(networkId, stateRef, thing, receipts, isAllowed).length;
};
const honest: Judge = (answer) => judged(authority, asked, answer);

const otherKey = new Uint8Array(96).fill(6);
/** Answers that an elder may forward, and their number of valid receipts. */
const answers: readonly (readonly [what: string, answer: Answer, count: number])[] = [
  ['three adults, as asked', given(adults, asked), 3],
  ['three adults, under the newest state', given(adults, under(8n)), 3],
  ['one adult three times', given([11, 11, 11], asked), 1],
  ['of an older generation', given(adults, under(6n)), 0],
  ['of an older generation, called the one that was asked by', given(adults, under(6n), asked), 0],
  ['of another key', given(adults, under(7n, otherKey)), 0],
  ['of another key, called this one', given(adults, under(7n, otherKey), asked), 0],
  ['of elders and unknown nodes', given([1, 2, unknown], asked), 0],
  ['of one that was no member yet', given([late], asked), 0],
];

test.each(answers)('N41: receipts %s', (_, answer, count) => {
  expect(honest(answer)).toBe(count);
});

describe('planted bugs, N41', () => {
  const bugs: readonly (readonly [name: string, judge: Judge])[] = [
    [
      'the generation of the answer is not compared',
      (answer) => judged(authority, answer.stateRef, answer),
    ],
    [
      'the key of the answer is not compared',
      (answer) =>
        countReceipts(networkId, answer.stateRef, thing, answer.receipts, (holder) =>
          [...adults, late].some((n) => nameToId(nameOf(n)) === nameToId(toXorName(holder))),
        ).length,
    ],
    [
      'the joining generation of a member is not checked',
      (answer) => {
        const members = authority.members.map((each) => ({ ...each, joined: 0n }));
        return judged({ ...authority, members }, asked, answer);
      },
    ],
    ['elders count as holders', (answer) => judged({ ...authority, elders: [] }, asked, answer)],
    [
      'every signer counts as a holder',
      (answer) =>
        countReceipts(networkId, answer.stateRef, thing, answer.receipts, () => true).length,
    ],
  ];

  test.each(bugs)('%s: some answer shows it', (_, judge) => {
    const wrong = answers.filter(([, answer, count]) => judge(answer) !== count);
    expect(wrong.length).toBeGreaterThan(0);
  });
});
