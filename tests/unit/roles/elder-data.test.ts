/** Goal: an elder finds four copies or says why not, whatever two adults do. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareDistance, nameToId, toXorName } from '#address/xor-name.ts';
import {
  askNext,
  isAnswered,
  isFound,
  isStored,
  replyToGetChunk,
  replyToGetPointer,
  replyToPut,
  startAsking,
  withAnswer,
  type Asking,
  type HolderAnswer,
} from '#roles/elder-data.ts';
import { signersUnder } from '#roles/light-client/receipts.ts';
import { adultsOf, candidatesFor, hasRoom, readersFor } from '#roles/placement.ts';
import { stampOf } from '#protocol/replication/index.ts';

const name = (n: number) => toXorName(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n : 5)));
const stored: HolderAnswer = { kind: 'stored', signature: new Uint8Array(64) };
const stamp = { keyHash: new Uint8Array(32), generation: 1n };
const failed: HolderAnswer = { kind: 'failed' };
const authority = {
  elders: [1, 2, 3, 4, 5, 6, 7].map((n) => ({
    name: name(n),
    publicShare: new Uint8Array(96),
    index: n,
  })),
  members: [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 16].map((n) => ({
    name: name(n),
    joined: 0n,
    placement: name(n),
    sharingKey: new Uint8Array(32),
  })),
};
const candidates = candidatesFor(authority, name(12));

/** Lets every adult answer as `behaviour` says until the elder has what it wants. */
function converse(
  behaviour: (holder: Uint8Array) => HolderAnswer,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
  first = startAsking(candidates, [], new Set()),
): Asking {
  let asking = first;
  while (!isAnswered(asking, wanted, isGood)) {
    const [next, ask] = askNext(asking, wanted, isGood, false);
    expect(ask.length).toBeGreaterThan(0);
    asking = next;
    for (const holder of ask) asking = withAnswer(asking, { holder, answer: behaviour(holder) });
  }
  return asking;
}

test('members that are not elders are adults, and the closest come first', () => {
  expect(adultsOf(authority)).toHaveLength(6);
  expect(candidates[0]).toEqual(name(12));
  const sorted = [...candidates].sort((a, b) => compareDistance(name(12), a, b));
  expect(candidates).toEqual(sorted);
});

test('with everybody well exactly the four closest are asked', () => {
  const asking = converse(() => stored, 4, isStored);
  expect(asking.answers.map(({ holder }) => holder)).toEqual(candidates.slice(0, 4));
  expect(replyToPut(asking, 'stored', stamp)).toMatchObject({
    kind: 'stored',
    receipts: { length: 4 },
  });
});

test('the next in line stands in for each that fails', () => {
  const off = new Set([nameToId(candidates[0]!), nameToId(candidates[2]!)]);
  const asking = converse((holder) => (off.has(nameToId(holder)) ? failed : stored), 4, isStored);
  expect(asking.asked).toBe(6);
  expect(replyToPut(asking, 'stored', stamp)).toMatchObject({
    kind: 'stored',
    receipts: { length: 4 },
  });
});

test('three receipts are enough, two are not', () => {
  const some = (count: number) => {
    let left = count;
    return converse(() => (left-- > 0 ? stored : failed), 4, isStored);
  };
  expect(replyToPut(some(3), 'stored', stamp).kind).toBe('stored');
  expect(replyToPut(some(2), 'stored', stamp)).toMatchObject({
    kind: 'refused',
    refusal: { kind: 'busy' },
  });
});

test('a full section says full and a conflict says conflict', () => {
  const full: HolderAnswer = { kind: 'refused', refusal: { kind: 'full' } };
  const conflict: HolderAnswer = {
    kind: 'refused',
    refusal: { kind: 'conflict', evidence: Uint8Array.of(1) },
  };
  expect(
    replyToPut(
      converse(() => full, 4, isStored),
      'stored',
      stamp,
    ),
  ).toMatchObject({ refusal: { kind: 'full' } });
  expect(
    replyToPut(
      converse(() => conflict, 4, isStored),
      'pointerStored',
      stamp,
    ),
  ).toMatchObject({
    refusal: { kind: 'conflict' },
  });
});

test('reported and suspected holders are asked last but not never', () => {
  const suspects = new Set([nameToId(candidates[1]!)]);
  const asking = startAsking(candidates, [candidates[0]!], suspects);
  expect(asking.candidates.at(-1)).toEqual(candidates[0]);
  expect(asking.candidates.at(-2)).toEqual(candidates[1]);
  expect(asking.candidates).toHaveLength(candidates.length);
});

test('a chunk is not found only when every holder said so', () => {
  const nothing: HolderAnswer = { kind: 'nothing' };
  expect(replyToGetChunk(converse(() => nothing, 1, isFound))).toMatchObject({
    refusal: { kind: 'notFound' },
  });
  let first = true;
  const oneSilent = converse(
    () => {
      const answer = first ? failed : nothing;
      first = false;
      return answer;
    },
    1,
    isFound,
  );
  expect(replyToGetChunk(oneSilent)).toMatchObject({ refusal: { kind: 'busy' } });
});

test('a pointer is told with three copies or not at all', () => {
  const answers = (count: number): Asking => ({
    candidates,
    asked: count,
    answers: candidates.slice(0, count).map((holder) => ({ holder, answer: { kind: 'nothing' } })),
  });
  expect(replyToGetPointer(answers(3)).kind).toBe('pointers');
  expect(replyToGetPointer(answers(2)).kind).toBe('refused');
});

test('impatience asks one more and never one twice', () => {
  const [asked, first] = askNext(startAsking(candidates, [], new Set()), 1, isFound, false);
  const [, second] = askNext(asked, 1, isFound, true);
  expect([first, second].flat()).toEqual(candidates.slice(0, 2));
});

test('property: with at most two bad adults of six a put always gets at least four receipts', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.subarray([0, 1, 2, 3, 4, 5], { maxLength: 2 }),
      (target, bad) => {
        const order = candidatesFor(authority, target);
        const off = new Set(bad.map((at) => nameToId(order[at]!)));
        const asking = converse(
          (holder) => (off.has(nameToId(holder)) ? failed : stored),
          4,
          isStored,
          startAsking(order, [], new Set()),
        );
        const reply = replyToPut(asking, 'stored', stamp);
        expect(reply.kind === 'stored' && reply.receipts.length).toBe(4);
        expect(new Set(asking.answers.map(({ holder }) => nameToId(holder))).size).toBe(
          asking.answers.length,
        );
      },
    ),
  );
});

test('P2, P3: full adults are read and not written; a version is asked of all that may hold it', () => {
  const target = name(12);
  const [first, , third] = candidates.map(nameToId);
  const full = new Set([first ?? '', third ?? '']);
  expect(candidatesFor(authority, target, full).map(nameToId)).not.toContain(first);
  const readers = readersFor(authority, target, full);
  expect(readers.candidates).toEqual(candidates);
  expect(readers.holding).toBe(6);
  expect(readersFor(authority, target).holding).toBe(4);
  expect(hasRoom(authority, full)).toBe(true);
  expect(hasRoom(authority, new Set(candidates.slice(0, 4).map(nameToId)))).toBe(false);
  // Nobody is full in a section with two adults: a put may try.
  const small = { ...authority, members: authority.members.slice(0, 9) };
  expect(hasRoom(small, new Set())).toBe(true);
});

test('N41: receipts count under the state that was asked by or a newer one that is known', () => {
  const section = { ...authority, key: new Uint8Array(96).fill(5), generation: 8n };
  const late = { ...section.members[12]!, joined: 7n };
  const members = [...section.members.slice(0, 12), late];
  const known = { ...section, members };
  const at = (generation: bigint) => stampOf({ ...section, generation });
  const other = stampOf({ ...section, key: new Uint8Array(96) });
  expect(signersUnder(known, at(8n), at(7n)).kind).toBe('outdated');
  expect(signersUnder(known, at(8n), other).kind).toBe('outdated');
  expect(signersUnder(known, other, at(8n)).kind).toBe('known');
  expect(signersUnder(known, at(8n), at(9n)).kind).toBe('behind');
  const signersAt = (generation: bigint) => {
    const under = signersUnder(known, at(5n), at(generation));
    return under.kind === 'known' ? under.signers : new Set();
  };
  expect(signersAt(8n).size).toBe(6);
  expect(signersAt(8n)).not.toContain(nameToId(name(1)));
  // Who joined in generation 7 can have signed nothing under generation 6.
  expect(signersAt(7n)).toContain(nameToId(late.name));
  expect(signersAt(6n)).not.toContain(nameToId(late.name));
});
