/**
 * Goal: what the toy suite showed holds with the real curves: BLS12-381, ristretto255, ed25519.
 * Method: one seed with liars, one honest payment and one thief.
 */
import { expect, test, vi } from 'vitest';
import { blsScalars } from '#crypto/bls.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { createCompute, honestParts } from './payment-net.ts';
import { realStage, runSeed } from './payment-check.ts';

vi.setConfig({ testTimeout: 120_000 });

test('one seed with real keys: paid, registered, and the thief gets nothing', () => {
  const stage = realStage(blsSuite, blsScalars);
  const compute = createCompute(honestParts, blsSuite);
  const { words } = runSeed(stage, 2, honestParts, compute, ['alice-pays', 'mallory-steals'], 0);
  expect(words.get('alice-pays')).toBe('registered');
  expect(words.get('mallory-steals')).toBe('waiting refused');
});
