/**
 * Goal: a page of a list of sealed entries proves itself against the root that was agreed (N23, N34),
 * and nothing else does. Method: lists of many lengths, every run of leaves, and single changes.
 */
import { describe, expect, test } from 'vitest';
import { labelledHash } from '#crypto/hash.ts';
import {
  pathsInRange,
  sealedRanges,
  sealedRootOf,
  siblingsFrom,
  verifyRange,
} from '#money/sealed.ts';

const leavesOf = (count: number): readonly Uint8Array[] =>
  Array.from({ length: count }, (_, at) => labelledHash('safe/toy/leaf', Uint8Array.of(at)));

describe('a run of neighbouring leaves', () => {
  test('is proven against the root wherever it lies', () => {
    for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 13, 21]) {
      const leaves = leavesOf(count);
      const root = sealedRootOf(leaves);
      for (let start = 0; start < count; start++) {
        for (let length = 1; start + length <= count; length++) {
          const [siblings = []] = sealedRanges(leaves, [{ start, length }]);
          const run = leaves.slice(start, start + length);
          expect(verifyRange(root, start, count, run, siblings)).toBe(true);
          // Elsewhere, in a list of another length, with a leaf more, less or changed: never.
          expect(verifyRange(root, start + 1, count + 1, run, siblings)).toBe(false);
          expect(verifyRange(root, start, count + 1, run, siblings)).toBe(false);
          expect(verifyRange(root, start, count, run.slice(1), siblings)).toBe(false);
          expect(verifyRange(root, start, count, run, [...siblings, root])).toBe(false);
          const bent = [...run.slice(0, -1), labelledHash('safe/toy/bent')];
          expect(verifyRange(root, start, count, bent, siblings)).toBe(false);
        }
      }
    }
  });

  test('proves each later part of itself, and each of its leaves', () => {
    for (const count of [1, 2, 3, 5, 8, 13, 21]) {
      const leaves = leavesOf(count);
      for (let start = 0; start < count; start++) {
        for (let end = start + 1; end <= count; end++) {
          const run = leaves.slice(start, end);
          const [siblings = []] = sealedRanges(leaves, [{ start, length: run.length }]);
          const single = run.map((_, at) => ({ start: start + at, length: 1 }));
          expect(pathsInRange(start, count, run, siblings)).toEqual(sealedRanges(leaves, single));
          for (let from = start; from < end; from++) {
            const [wanted] = sealedRanges(leaves, [{ start: from, length: end - from }]);
            expect(siblingsFrom(from, start, count, run, siblings)).toEqual(wanted);
          }
        }
      }
    }
  });

  test('of an empty list is empty, and no other list has an empty run', () => {
    const empty = sealedRootOf([]);
    expect(verifyRange(empty, 0, 0, [], [])).toBe(true);
    expect(verifyRange(empty, 0, 1, leavesOf(1), [])).toBe(false);
    const root = sealedRootOf(leavesOf(3));
    expect(verifyRange(root, 0, 3, [], [])).toBe(false);
    expect(verifyRange(root, 0, 0, [], [])).toBe(false);
  });
});
