/**
 * Goal: results of the toy suite hold with the real curves: BLS12-381, ristretto255, ed25519.
 * Method: one seed with liars, one honest payment and one thief.
 */
import { expect, test, vi } from 'vitest';
import { blsScalars } from '#crypto/bls.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { createCompute, honestParts } from './payment-net.ts';
import { realPaymentSetup, runPaymentSeed } from './payment-check.ts';

vi.setConfig({ testTimeout: 120_000 });

test('one seed with real keys → paid and registered, and the thief gets nothing', () => {
  const stage = realPaymentSetup(blsSuite, blsScalars);
  const compute = createCompute(honestParts, blsSuite);
  const { lastMessages } = runPaymentSeed(
    stage,
    2,
    honestParts,
    compute,
    ['alice-pays', 'mallory-steals'],
    0,
  );
  expect(lastMessages.get('alice-pays')).toBe('registered');
  expect(lastMessages.get('mallory-steals')).toBe('waiting refused');
});
