/** Goal: an elder finds four copies or answers with the reason, whatever two adults do. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareDistance, nameToId, toXorName } from '#address/xor-name.ts';
import {
  nextHolders,
  isQueryComplete,
  isFound,
  isStored,
  replyToGetChunk,
  replyToGetPointer,
  replyToPut,
  startHolderQuery,
  withAnswer,
  type HolderQuery,
  type HolderAnswer,
} from '#roles/holder-query.ts';
import { receiptSignersFor } from '#roles/light-client/receipt-signers.ts';
import { adultNamesOf, candidatesFor, hasRoom, readersFor } from '#roles/holder-candidates.ts';
import { stateRefOf } from '#protocol/replication/index.ts';

const name = (n: number) => toXorName(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n : 5)));
const stored: HolderAnswer = { kind: 'stored', signature: new Uint8Array(64) };
const stateRef = { keyHash: new Uint8Array(32), generation: 1n };
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

/** Every adult answers as `behaviour` returns, until the elder has enough. */
function converse(
  behaviour: (holder: Uint8Array) => HolderAnswer,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
  first = startHolderQuery(candidates, [], new Set()),
): HolderQuery {
  let query = first;
  while (!isQueryComplete(query, wanted, isGood)) {
    const [next, ask] = nextHolders(query, wanted, isGood, false);
    expect(ask.length).toBeGreaterThan(0);
    query = next;
    for (const holder of ask) query = withAnswer(query, { holder, answer: behaviour(holder) });
  }
  return query;
}

test('members that are not elders are adults, and the closest come first', () => {
  expect(adultNamesOf(authority)).toHaveLength(6);
  expect(candidates[0]).toEqual(name(12));
  const sorted = [...candidates].sort((a, b) => compareDistance(name(12), a, b));
  expect(candidates).toEqual(sorted);
});

test('all adults healthy → exactly the four closest are asked', () => {
  const query = converse(() => stored, 4, isStored);
  expect(query.answers.map(({ holder }) => holder)).toEqual(candidates.slice(0, 4));
  expect(replyToPut(query, 'stored', stateRef)).toMatchObject({
    kind: 'stored',
    receipts: { length: 4 },
  });
});

test('each failing holder is replaced by the next closest', () => {
  const off = new Set([nameToId(candidates[0]!), nameToId(candidates[2]!)]);
  const query = converse((holder) => (off.has(nameToId(holder)) ? failed : stored), 4, isStored);
  expect(query.asked).toBe(6);
  expect(replyToPut(query, 'stored', stateRef)).toMatchObject({
    kind: 'stored',
    receipts: { length: 4 },
  });
});

test('three receipts are enough, two are not', () => {
  const some = (count: number) => {
    let left = count;
    return converse(() => (left-- > 0 ? stored : failed), 4, isStored);
  };
  expect(replyToPut(some(3), 'stored', stateRef).kind).toBe('stored');
  expect(replyToPut(some(2), 'stored', stateRef)).toMatchObject({
    kind: 'refused',
    refusal: { kind: 'busy' },
  });
});

test('a full section answers `full`, a conflict `conflict`', () => {
  const full: HolderAnswer = { kind: 'refused', refusal: { kind: 'full' } };
  const conflict: HolderAnswer = {
    kind: 'refused',
    refusal: { kind: 'conflict', evidence: Uint8Array.of(1) },
  };
  expect(
    replyToPut(
      converse(() => full, 4, isStored),
      'stored',
      stateRef,
    ),
  ).toMatchObject({ refusal: { kind: 'full' } });
  expect(
    replyToPut(
      converse(() => conflict, 4, isStored),
      'pointerStored',
      stateRef,
    ),
  ).toMatchObject({
    refusal: { kind: 'conflict' },
  });
});

test('three receipts of farther adults do not outweigh a proven conflict of a record', () => {
  const conflict = { kind: 'conflict', evidence: new Uint8Array(1) } as const;
  const mixed = {
    ...startHolderQuery([], [], new Set()),
    answers: [0, 1, 2, 3].map((n) => ({
      holder: new Uint8Array(32).fill(n),
      answer:
        n < 3
          ? ({ kind: 'stored', signature: new Uint8Array(64) } as const)
          : ({ kind: 'refused', refusal: conflict } as const),
    })),
  };
  expect(replyToPut(mixed, 'pointerStored', stateRef)).toEqual({
    kind: 'refused',
    refusal: conflict,
  });
});

test('reported and suspected holders are asked last', () => {
  const suspects = new Set([nameToId(candidates[1]!)]);
  const query = startHolderQuery(candidates, [candidates[0]!], suspects);
  expect(query.candidates.at(-1)).toEqual(candidates[0]);
  expect(query.candidates.at(-2)).toEqual(candidates[1]);
  expect(query.candidates).toHaveLength(candidates.length);
});

test('`notFound` only if every holder answers that it has none', () => {
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

test('a pointer is answered only with three copies', () => {
  const answers = (count: number): HolderQuery => ({
    candidates,
    asked: count,
    answers: candidates.slice(0, count).map((holder) => ({ holder, answer: { kind: 'nothing' } })),
  });
  expect(replyToGetPointer(answers(3)).kind).toBe('pointers');
  expect(replyToGetPointer(answers(2)).kind).toBe('refused');
});

test('`impatient` asks one more holder, and none twice', () => {
  const [asked, first] = nextHolders(
    startHolderQuery(candidates, [], new Set()),
    1,
    isFound,
    false,
  );
  const [, second] = nextHolders(asked, 1, isFound, true);
  expect([first, second].flat()).toEqual(candidates.slice(0, 2));
});

test('property: at most two of six adults faulty → a put gets four receipts', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.subarray([0, 1, 2, 3, 4, 5], { maxLength: 2 }),
      (target, bad) => {
        const order = candidatesFor(authority, target);
        const off = new Set(bad.map((at) => nameToId(order[at]!)));
        const query = converse(
          (holder) => (off.has(nameToId(holder)) ? failed : stored),
          4,
          isStored,
          startHolderQuery(order, [], new Set()),
        );
        const reply = replyToPut(query, 'stored', stateRef);
        expect(reply.kind === 'stored' && reply.receipts.length).toBe(4);
        expect(new Set(query.answers.map(({ holder }) => nameToId(holder))).size).toBe(
          query.answers.length,
        );
      },
    ),
  );
});

test('REPLICATION-P2, REPLICATION-P3: full adults are read, not written; a version is read from all that may hold it', () => {
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
  // With two adults, none of them full, a put may try.
  const small = { ...authority, members: authority.members.slice(0, 9) };
  expect(hasRoom(small, new Set())).toBe(true);
});

test('N41: receipts count under the requested state or a newer known one', () => {
  const section = { ...authority, key: new Uint8Array(96).fill(5), generation: 8n };
  const late = { ...section.members[12]!, joined: 7n };
  const members = [...section.members.slice(0, 12), late];
  const known = { ...section, members };
  const at = (generation: bigint) => stateRefOf({ ...section, generation });
  const other = stateRefOf({ ...section, key: new Uint8Array(96) });
  expect(receiptSignersFor(known, at(8n), at(7n)).kind).toBe('outdated');
  expect(receiptSignersFor(known, at(8n), other).kind).toBe('outdated');
  expect(receiptSignersFor(known, other, at(8n)).kind).toBe('known');
  expect(receiptSignersFor(known, at(8n), at(9n)).kind).toBe('behind');
  const signersAt = (generation: bigint) => {
    const under = receiptSignersFor(known, at(5n), at(generation));
    return under.kind === 'known' ? under.signers : new Set();
  };
  expect(signersAt(8n).size).toBe(6);
  expect(signersAt(8n)).not.toContain(nameToId(name(1)));
  // A member since generation 7 cannot have signed under generation 6.
  expect(signersAt(7n)).toContain(nameToId(late.name));
  expect(signersAt(6n)).not.toContain(nameToId(late.name));
});
