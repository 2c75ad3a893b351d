import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  abbreviate,
  formatMoment,
  formatSize,
  formatSpeed,
  orList,
  percentDone,
  timeLeft,
} from '../../../src/ui/shared/format.ts';

describe('sizes and speeds', () => {
  test.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1_000, '1 kB'],
    [1_550, '1.6 kB'],
    [64_000_000, '64 MB'],
    [999_949, '1 MB'],
    [999_400, '999 kB'],
    [1_000_000_000, '1 GB'],
  ])('%d bytes are written as %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));

  test('a number before the unit never reaches a thousand', () => {
    fc.assert(
      fc.property(fc.nat({ max: 999 * 10 ** 12 }), (bytes) => {
        expect(Number.parseFloat(formatSize(bytes).replace(',', ''))).toBeLessThan(1000);
      }),
    );
  });

  test('a speed is a size per second', () => expect(formatSpeed(3_200_000)).toBe('3.2 MB/s'));
});

describe('progress', () => {
  test('100 percent means every byte, 0 means none', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (size, part) => {
          const done = Math.floor(size * part);
          const percent = percentDone(done, size);
          expect(percent === 100).toBe(done >= size);
          expect(percent === 0).toBe(done === 0);
        },
      ),
    );
  });

  test('an empty file is done', () => expect(percentDone(0, 0)).toBe(100));

  test.each([
    [1_000, 1_000, 'a few seconds left'],
    [32_000, 1_000, 'about 35 seconds left'],
    [58_000, 1_000, 'about 1 minute left'],
    [180_000, 1_000, 'about 3 minutes left'],
    [3_600_000, 1_000, 'about 1 hour left'],
    [3_600_000 * 60, 1_000, 'more than two days left'],
    [1_000, 0, ''],
    [0, 1_000, ''],
    [1_000, Number.NaN, ''],
  ])('%d bytes at %d bytes/s: “%s”', (bytes, speed, text) =>
    expect(timeLeft(bytes, speed)).toBe(text),
  );
});

test('a moment is a time today, a date otherwise, with the year when it is another', () => {
  const now = new Date(2026, 10, 21, 18, 0).getTime();
  expect(formatMoment(new Date(2026, 10, 21, 7, 5).getTime(), now)).toBe('today, 07:05');
  expect(formatMoment(new Date(2026, 2, 1).getTime(), now)).toBe('Mar 1');
  expect(formatMoment(new Date(2024, 2, 1).getTime(), now)).toBe('Mar 1, 2024');
});

test('alternatives read like a spoken list', () => {
  expect(orList([3, 7, 11])).toBe('3, 7 or 11');
  expect(orList([3, 7])).toBe('3 or 7');
});

test('a long text is shortened to its two ends, a short one is kept', () => {
  expect(abbreviate('abcdefghijklmnopqrstuvwxyz', 4)).toBe('abcd … wxyz');
  expect(abbreviate('abcdefghi', 4)).toBe('abcdefghi');
});
