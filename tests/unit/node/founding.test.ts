/** Goal: the secrets of a birth leave the disk whatever one founder does. */
import { expect, test } from 'vitest';
import { birthSecretsMs, isBirthOver, lateFoundersMs } from '#node/founding.ts';

test('seven born end it at once, five after a while for those who are late, and hours end it in any case', () => {
  expect(isBirthOver(7, 0)).toBe(true);
  expect(isBirthOver(6, 0)).toBe(false);
  expect(isBirthOver(5, lateFoundersMs - 1)).toBe(false);
  expect(isBirthOver(5, lateFoundersMs)).toBe(true);
  expect(isBirthOver(4, lateFoundersMs)).toBe(false);
  expect(isBirthOver(0, birthSecretsMs)).toBe(true);
});
