/** Goal: a light client accepts absence only from more elders than may lie. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toXorName } from '#address/xor-name.ts';
import {
  receiptsRequired,
  isProvenAbsent,
  type CopiesReport,
} from '#roles/light-client/required-counts.ts';
import { copiesRequired, copiesWanted } from '#roles/holder-candidates.ts';

const name = (n: number) => toXorName(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n : 5)));
const holders = [11, 12, 13, 14].map(name);
const someRecord = Uint8Array.of(1, 2, 3);

const nothing: CopiesReport = { copies: holders.map((holder) => ({ holder, record: null })) };
const oneCopy: CopiesReport = {
  copies: holders.map((holder, i) => ({ holder, record: i === 0 ? someRecord : null })),
};
const nothingReported: CopiesReport = { copies: [] };
const oneHolderOften: CopiesReport = {
  copies: [1, 2, 3, 4].map(() => ({ holder: name(11), record: null })),
};
const twoHolders: CopiesReport = { copies: nothing.copies.slice(0, 2) };

test('light client and elder require the same number of receipts', () => {
  expect(receiptsRequired).toBe(copiesRequired);
  expect(receiptsRequired).toBe(copiesWanted - 1);
});

test('no reports → nothing is known', () => {
  expect(isProvenAbsent([])).toBe(false);
});

test('one or two lying elders cannot make a Safe absent', () => {
  expect(isProvenAbsent([nothing])).toBe(false);
  expect(isProvenAbsent([nothing, nothing])).toBe(false);
});

test('three elders with three holders each prove absence', () => {
  expect(isProvenAbsent([nothing, nothing, nothing])).toBe(true);
});

test('one copy outweighs any number of absence reports', () => {
  for (const reports of [
    [oneCopy, nothing, nothing, nothing],
    [nothing, nothing, nothing, oneCopy],
    [nothing, nothing, nothing, nothing, nothing, nothing, oneCopy],
  ]) {
    expect(isProvenAbsent(reports)).toBe(false);
  }
});

test.each([
  ['without holders', nothingReported],
  ['that counts one holder four times', oneHolderOften],
  ['that asked two holders', twoHolders],
])('a report %s proves no absence', (_what, thin) => {
  expect(isProvenAbsent([thin, thin, thin])).toBe(false);
  expect(isProvenAbsent([nothing, nothing, thin])).toBe(false);
});

test.each([
  ['without holders', nothingReported],
  ['that counts one holder four times', oneHolderOften],
  ['that asked two holders', twoHolders],
])('a report %s does not block three good ones: a liar cannot block a new Safe', (_w, thin) => {
  expect(isProvenAbsent([thin, nothing, nothing, nothing])).toBe(true);
  expect(isProvenAbsent([nothing, thin, nothing, thin, nothing])).toBe(true);
});

test('property: with a record on three of four holders, two lying elders never make it absent', () => {
  const liar = fc.constantFrom(nothing, nothingReported, oneHolderOften, twoHolders);
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
    fc.property(reports, (lies) => {
      expect(isProvenAbsent(lies)).toBe(false);
    }),
  );
});
