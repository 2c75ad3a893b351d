/**
 * Goal: with any loss, repetition, reordering and crashes, and any lies of two elders and mallory,
 * no coin is spent twice, no money is created, no honest node is blamed; after healing all payments
 * finish.
 * Method: seven elders with spentbook and mint, some of fourteen actors per seed, zero to two lying
 * elders; some seeds run twice and must give the same trace.
 */
import { describe, expect, test, vi } from 'vitest';
import { createCompute, honestParts } from './payment-net.ts';
import { outcomeOf, runPaymentSeed, toyPaymentSetup } from './payment-check.ts';

const seeds = Number(process.env['SEEDS'] ?? 150);
const onlySeed = process.env['SEED'];
/** Every so many seeds one runs again. */
const againEvery = 6;
vi.setConfig({ testTimeout: 120_000 });

const stage = toyPaymentSetup();
const compute = createCompute(honestParts, stage.suite);

describe('payments', () => {
  test('any seed → noDoubleSpend, supplyConserved, noFalseBlame, progress; the same seed twice → the same trace', () => {
    const list = onlySeed ? [Number(onlySeed)] : Array.from({ length: seeds }, (_, i) => i + 1);
    const states = new Set<string>();
    for (const seed of list) {
      try {
        const once = runPaymentSeed(stage, seed, honestParts, compute);
        for (const state of once.lastMessages.values()) states.add(state);
        if (onlySeed === undefined && seed % againEvery !== 0) continue;
        const again = runPaymentSeed(stage, seed, honestParts, compute);
        expect(outcomeOf(again)).toBe(outcomeOf(once));
      } catch (cause) {
        throw new Error(
          `replay with: SEED=${seed} npx vitest run tests/sim/payment/payment.test.ts (${String(cause)})`,
          { cause },
        );
      }
    }
    // The runs must have reached the situations they test.
    if (list.length >= 100) {
      expect([...states].sort()).toEqual(
        expect.arrayContaining(['registered', 'replaced', 'waiting conflict', 'waiting refused']),
      );
    }
  });
});
