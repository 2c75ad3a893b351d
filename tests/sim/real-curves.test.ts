/**
 * Goal: what the toy algebra showed of a section holds with the curves of a real node.
 * Method: one seed of `handover` with BLS12-381 shares, dealings by cut and choose and ed25519 names
 * ground to their age, one liar among the elders, rough weather. Only the founding key is dealt from
 * one place (its making has its own test with real curves, dkg-genesis.test.ts), and what is pure is
 * computed once for all nodes. The dearer scenarios: tests/long/real-curves.test.ts.
 */
import { expect, test, vi } from 'vitest';
import { createRealCurves } from './curves.ts';
import { runHandover } from './scenarios/handover.ts';
import { lieNamed } from './section-lies.ts';

vi.setConfig({ testTimeout: 240_000 });

test('handover: one seed with real keys, one liar, and everybody ends under the new key', () => {
  const curves = createRealCurves();
  const lie = lieNamed('wrong seal share');
  const { violations, undelivered, nodes, liars } = runHandover(1, { curves, lie });
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(liars).toEqual([lie.name]);
  const heir = nodes.find(({ up, stopped, state }) => up && !stopped && state.desk !== null);
  expect(heir?.state.own?.state.authority.epoch).toBe(1n);
  // A compressed point of G2: no toy key begins like this.
  expect((heir?.state.own?.state.authority.key[0] ?? 0) & 0x80).toBe(0x80);
});
