/**
 * Goal: a page of sealed entries proves itself against the agreed root (N23, N34), and no other
 * page does. Method: lists of many lengths, every run of leaves, and single changes.
 */
import { describe, expect, test } from 'vitest';
import { labelledHash } from '#crypto/hash.ts';
import {
  proofPathsInRange,
  rangeProofs,
  merkleRoot,
  rangeProofFrom,
  verifyRangeProof,
} from '#money/inclusion-proof.ts';

const leavesOf = (count: number): readonly Uint8Array[] =>
  Array.from({ length: count }, (_, at) => labelledHash('safe/toy/leaf', Uint8Array.of(at)));

describe('a run of neighbouring leaves', () => {
  test('is proven against the root at every position', () => {
    for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 13, 21]) {
      const leaves = leavesOf(count);
      const root = merkleRoot(leaves);
      for (let start = 0; start < count; start++) {
        for (let length = 1; start + length <= count; length++) {
          const [siblings = []] = rangeProofs(leaves, [{ start, length }]);
          const run = leaves.slice(start, start + length);
          expect(verifyRangeProof(root, start, count, run, siblings)).toBe(true);
          // At another position, in a list of another length, or with a leaf added, removed or
          // changed: never.
          expect(verifyRangeProof(root, start + 1, count + 1, run, siblings)).toBe(false);
          expect(verifyRangeProof(root, start, count + 1, run, siblings)).toBe(false);
          expect(verifyRangeProof(root, start, count, run.slice(1), siblings)).toBe(false);
          expect(verifyRangeProof(root, start, count, run, [...siblings, root])).toBe(false);
          const bent = [...run.slice(0, -1), labelledHash('safe/toy/bent')];
          expect(verifyRangeProof(root, start, count, bent, siblings)).toBe(false);
        }
      }
    }
  });

  test('proves each of its suffixes and each of its leaves', () => {
    for (const count of [1, 2, 3, 5, 8, 13, 21]) {
      const leaves = leavesOf(count);
      for (let start = 0; start < count; start++) {
        for (let end = start + 1; end <= count; end++) {
          const run = leaves.slice(start, end);
          const [siblings = []] = rangeProofs(leaves, [{ start, length: run.length }]);
          const single = run.map((_, at) => ({ start: start + at, length: 1 }));
          expect(proofPathsInRange(start, count, run, siblings)).toEqual(
            rangeProofs(leaves, single),
          );
          for (let from = start; from < end; from++) {
            const [wanted] = rangeProofs(leaves, [{ start: from, length: end - from }]);
            expect(rangeProofFrom(from, start, count, run, siblings)).toEqual(wanted);
          }
        }
      }
    }
  });

  test('of an empty list is empty, and no other list has an empty run', () => {
    const empty = merkleRoot([]);
    expect(verifyRangeProof(empty, 0, 0, [], [])).toBe(true);
    expect(verifyRangeProof(empty, 0, 1, leavesOf(1), [])).toBe(false);
    const root = merkleRoot(leavesOf(3));
    expect(verifyRangeProof(root, 0, 3, [], [])).toBe(false);
    expect(verifyRangeProof(root, 0, 0, [], [])).toBe(false);
  });
});
