/**
 * Goal: prefixes behave as sets of names. Method: random names and lengths, each operation against
 * its definition on strings of bits.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  child,
  comparePrefixDistance,
  EMPTY_PREFIX,
  isCompatible,
  isWithin,
  matches,
  parent,
  parsePrefix,
  prefixOf,
  samePrefix,
  showPrefix,
  type Prefix,
} from '#address/prefix.ts';
import { compareDistance } from '#address/xor-name.ts';

const name = fc.uint8Array({ minLength: 32, maxLength: 32 });
const bitsOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
const text = (prefix: Prefix): string => (prefix.bitCount === 0 ? '' : showPrefix(prefix));
const prefix = fc.tuple(name, fc.nat(40)).map(([bytes, count]) => prefixOf(bytes, count));

test('matches, within, compatible and same agree with a comparison of bits', () => {
  fc.assert(
    fc.property(prefix, prefix, name, (a, b, target) => {
      expect(matches(a, target)).toBe(bitsOf(target).startsWith(text(a)));
      expect(isWithin(a, b)).toBe(text(a).startsWith(text(b)));
      expect(isCompatible(a, b)).toBe(isWithin(a, b) || isWithin(b, a));
      expect(samePrefix(a, b)).toBe(text(a) === text(b));
      expect(matches(prefixOf(target, a.bitCount), target)).toBe(true);
    }),
  );
});

test('parent inverts child, and halves share no name', () => {
  fc.assert(
    fc.property(prefix, name, (above, target) => {
      const halves = [child(above, 0), child(above, 1)] as const;
      for (const half of halves) expect(parent(half)).toEqual(above);
      const inside = halves.filter((half) => matches(half, target)).length;
      expect(inside).toBe(matches(above, target) ? 1 : 0);
    }),
  );
  expect(parent(EMPTY_PREFIX)).toBeUndefined();
});

test('text round-trips; other text is rejected', () => {
  fc.assert(
    fc.property(prefix, (each) => {
      expect(parsePrefix(showPrefix(each))).toEqual(each);
    }),
  );
  for (const wrong of ['2', '01 ', '(0)', '0'.repeat(256)]) {
    expect(parsePrefix(wrong)).toBeUndefined();
  }
});

test('distance is an order: a matching prefix is closest, the longer of two first', () => {
  fc.assert(
    fc.property(prefix, prefix, prefix, name, (a, b, c, target) => {
      const order = (x: Prefix, y: Prefix): number =>
        Math.sign(comparePrefixDistance(target, x, y));
      expect(order(a, b) + order(b, a)).toBe(0);
      if (matches(a, target) && !isCompatible(a, b)) expect(order(a, b)).toBe(-1);
      if (!isCompatible(a, b)) {
        // Every name of the closer prefix is closer than every name of the other.
        expect(Math.sign(compareDistance(target, a.bits, b.bits))).toBe(order(a, b));
      }
      const disjoint = !isCompatible(a, b) && !isCompatible(b, c) && !isCompatible(a, c);
      if (disjoint && order(a, b) < 0 && order(b, c) < 0) expect(order(a, c)).toBe(-1);
    }),
  );
});
