/**
 * Goal: a light client hears the right elders in the right order, and believes that something is
 * not there only when more told so than may lie.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareDistance, toXorName } from '#address/xor-name.ts';
import {
  eldersFor,
  receiptsRequired,
  surelyAbsent,
  type CopiesReport,
} from '#roles/light-client/elders.ts';
import { copiesRequired, copiesWanted } from '#roles/placement.ts';

const name = (n: number) => toXorName(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n : 5)));
const holders = [11, 12, 13, 14].map(name);
const someRecord = Uint8Array.of(1, 2, 3);

const nothing: CopiesReport = { copies: holders.map((holder) => ({ holder, record: null })) };
const oneCopy: CopiesReport = {
  copies: holders.map((holder, i) => ({ holder, record: i === 0 ? someRecord : null })),
};
const nobodyAsked: CopiesReport = { copies: [] };
const oneHolderOften: CopiesReport = {
  copies: [1, 2, 3, 4].map(() => ({ holder: name(11), record: null })),
};
const twoHolders: CopiesReport = { copies: nothing.copies.slice(0, 2) };

test('elders are asked closest first, all of them, and the list given stays as it was', () => {
  const elders = [1, 2, 3, 4, 5, 6, 7].map((n) => ({ name: name(n) }));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (target) => {
      const before = [...elders];
      const asked = eldersFor(elders, target);
      expect(elders).toEqual(before);
      expect(new Set(asked)).toEqual(new Set(elders));
      for (const [i, elder] of asked.entries()) {
        const next = asked[i + 1];
        if (next !== undefined) {
          expect(compareDistance(target, elder.name, next.name)).toBeLessThan(0);
        }
      }
    }),
  );
});

test('a piece counts as stored with as many receipts as an elder calls enough', () => {
  expect(receiptsRequired).toBe(copiesRequired);
  expect(receiptsRequired).toBe(copiesWanted - 1);
});

test('nobody told anything: nothing is known', () => {
  expect(surelyAbsent([])).toBe(false);
});

test('one elder, or two, cannot make a Safe vanish: two may lie', () => {
  expect(surelyAbsent([nothing])).toBe(false);
  expect(surelyAbsent([nothing, nothing])).toBe(false);
});

test('three elders that each heard it from three holders are believed', () => {
  expect(surelyAbsent([nothing, nothing, nothing])).toBe(true);
});

test('one copy anywhere outweighs however many that saw none', () => {
  for (const reports of [
    [oneCopy, nothing, nothing, nothing],
    [nothing, nothing, nothing, oneCopy],
    [nothing, nothing, nothing, nothing, nothing, nothing, oneCopy],
  ]) {
    expect(surelyAbsent(reports)).toBe(false);
  }
});

test.each([
  ['that asked nobody', nobodyAsked],
  ['that counts one holder four times', oneHolderOften],
  ['that asked two holders', twoHolders],
])('a report %s convinces nobody', (_what, thin) => {
  expect(surelyAbsent([thin, thin, thin])).toBe(false);
  expect(surelyAbsent([nothing, nothing, thin])).toBe(false);
});

test.each([
  ['that asked nobody', nobodyAsked],
  ['that counts one holder four times', oneHolderOften],
  ['that asked two holders', twoHolders],
])(
  'a report %s keeps three good ones from nothing: a liar cannot hold up a new Safe',
  (_w, thin) => {
    expect(surelyAbsent([thin, nothing, nothing, nothing])).toBe(true);
    expect(surelyAbsent([nothing, thin, nothing, thin, nothing])).toBe(true);
  },
);

test('property: with a record on three of four holders, two lying elders never make it absent', () => {
  const liar = fc.constantFrom(nothing, nobodyAsked, oneHolderOften, twoHolders);
  // An honest elder answers with at least three of the four holders, so it saw the record.
  const honest = fc.subarray(holders, { minLength: 3 }).map((asked) => ({
    copies: asked.map((holder) => ({ holder, record: holder === holders[0] ? null : someRecord })),
  }));
  const reports = fc
    .tuple(fc.array(liar, { maxLength: 2 }), fc.array(honest, { maxLength: 5 }))
    .chain(([lies, truths]) =>
      fc.shuffledSubarray([...lies, ...truths], { minLength: lies.length + truths.length }),
    );
  fc.assert(
    fc.property(reports, (told) => {
      expect(surelyAbsent(told)).toBe(false);
    }),
  );
});
