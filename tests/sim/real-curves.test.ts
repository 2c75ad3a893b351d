/**
 * Goal: what the toy algebra showed of a section holds with the curves of a real node.
 * Method: one seed of `handover` with BLS12-381 shares, dealings by cut and choose and ed25519 names
 * ground to their age, one liar among the elders, rough weather; one of `membership` with ed25519
 * names; one of `seal` with payments while a section splits. Only the first keys are dealt from one
 * place (their making has its own test with real curves, dkg-genesis.test.ts), and what is pure is
 * computed once for all nodes. The dearer scenarios: tests/long/real-curves.test.ts.
 */
import { expect, test, vi } from 'vitest';
import { publicKeyOf } from '#node/native-ed25519.ts';
import { agreement } from '#protocol/agreement/index.ts';
import { logElders } from './agreement-log.ts';
import { createRealCurves } from './curves.ts';
import { runHandover } from './scenarios/handover.ts';
import { runMembership } from './scenarios/membership.ts';
import { runSeal } from './scenarios/seal.ts';
import { honestSeal } from './seal-state.ts';
import { lieNamed } from './section-lies.ts';

/** No toy key or signature begins like this. */
const isCompressedPoint = (bytes: Uint8Array = new Uint8Array(1)): boolean =>
  ((bytes[0] ?? 0) & 0x80) === 0x80;

vi.setConfig({ testTimeout: 240_000 });

test('handover: one seed with real keys, one liar, and everybody ends under the new key', () => {
  const curves = createRealCurves();
  const lie = lieNamed('wrong seal share');
  const { violations, undelivered, nodes, liars } = runHandover(1, { curves, lie });
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(liars).toEqual([lie.name]);
  const heir = nodes.find(({ up, stopped, state }) => up && !stopped && state.desk !== null);
  expect(heir?.state.own?.state.authority.epoch).toBe(1n);
  expect(isCompressedPoint(heir?.state.own?.state.authority.key)).toBe(true);
});

test('membership: one seed with real names, two liars, and everybody decides alike', () => {
  const { suites } = createRealCurves();
  const elders = logElders(7, publicKeyOf, suites.identity);
  const { violations, undelivered, report } = runMembership(1, agreement, 'twoReports', elders);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(report.nodes.filter(({ honest }) => honest)).toHaveLength(5);
});

test('seal: one seed with real keys, payments in flight while one section becomes two', () => {
  const { scalars, suites } = createRealCurves();
  const { threshold } = suites;
  const signatures: Uint8Array[] = [];
  const sign: typeof threshold.sign = (share, purpose, message) => {
    const signature = threshold.sign(share, purpose, message);
    signatures.push(signature);
    return signature;
  };
  const curves = { ...suites, threshold: { ...threshold, sign }, scalars, nameOf: publicKeyOf };
  const { kind, violations, undelivered, words } = runSeal(2, honestSeal, false, curves);
  expect({ kind, violations, undelivered }).toEqual({
    kind: 'split',
    violations: [],
    undelivered: 0,
  });
  expect([...words.values()].filter((word) => word === 'registered').length).toBeGreaterThan(4);
  expect(signatures.length).toBeGreaterThan(50);
  expect(signatures.every((each) => isCompressedPoint(each))).toBe(true);
});
