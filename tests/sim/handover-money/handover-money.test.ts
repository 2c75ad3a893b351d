/**
 * Goal: money crosses epochs: with payments in flight when a section seals, no coin is spent twice,
 * no final payment is lost, every honest payment ends, and one successor follows each key.
 * Method: scenarios/seal.ts, each seed one kind of succession, zero to two liars, drops, crashes.
 */
import { describe, expect, test, vi } from 'vitest';
import { runHandoverMoney } from '../scenarios/seal.ts';

const seeds = Number(process.env['SEEDS'] ?? 9);
const onlySeed = process.env['SEED'];
vi.setConfig({ testTimeout: 120_000 });

describe('a section seals and hands over', () => {
  test('any seed → no coin final twice, none lost, one successor, every honest payment ends', () => {
    const list = onlySeed ? [Number(onlySeed)] : Array.from({ length: seeds }, (_, i) => i + 1);
    for (const seed of list) {
      const { violations } = runHandoverMoney(seed);
      expect({ seed, violations }).toEqual({ seed, violations: [] });
    }
  });
});
