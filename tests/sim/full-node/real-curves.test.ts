/**
 * Goal: results of the toy algebra for a section hold with the curves of a real node.
 * Method: one seed of `handover` with BLS12-381 shares, cut-and-choose dealings and ed25519 names
 * ground to their age, one liar among the elders, many faults; one of `membership` with ed25519
 * names; one of `seal` with payments while a section splits. Only the first keys come from one
 * dealer (their generation has its own test with real curves, dkg-genesis.test.ts), and pure
 * functions are computed once for all nodes. The more expensive scenarios:
 * tests/long/real-curves.test.ts.
 */
import { expect, test, vi } from 'vitest';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { agreement } from '#protocol/agreement/index.ts';
import { logElders } from '../agreement/agreement-log.ts';
import { createRealCurves } from '../toys/curves.ts';
import { runHandover } from '../scenarios/handover.ts';
import { runMembership } from '../scenarios/membership.ts';
import { runHandoverMoney } from '../scenarios/seal.ts';
import { honestHandoverMoney } from '../handover-money/handover-money-protocol.ts';
import { sectionLieNamed } from '../section/section-adversaries.ts';

/** No toy key or signature starts with these bits. */
const isCompressedPoint = (bytes: Uint8Array = new Uint8Array(1)): boolean =>
  ((bytes[0] ?? 0) & 0x80) === 0x80;

vi.setConfig({ testTimeout: 240_000 });

test('handover: one seed with real keys, one liar → every node ends under the new key', () => {
  const curves = createRealCurves();
  const lie = sectionLieNamed('wrong seal share');
  const { violations, undelivered, nodes, liars } = runHandover(1, { curves, lie });
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(liars).toEqual([lie.name]);
  const successor = nodes.find(
    ({ up, stopped, state }) => up && !stopped && state.pendingGeneration !== null,
  );
  expect(successor?.state.own?.state.authority.epoch).toBe(1n);
  expect(isCompressedPoint(successor?.state.own?.state.authority.key)).toBe(true);
});

test('membership: one seed with real names, two liars → all elders decide the same', () => {
  const { suites } = createRealCurves();
  const elders = logElders(7, publicKeyOf, suites.identity);
  const { violations, undelivered, report } = runMembership(
    1,
    agreement,
    'twoRoundChanges',
    elders,
  );
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(report.nodes.filter(({ honest }) => honest)).toHaveLength(5);
});

test('seal: one seed with real keys, payments in flight → one section becomes two', () => {
  const { scalars, suites } = createRealCurves();
  const { threshold } = suites;
  const signatures: Uint8Array[] = [];
  const sign: typeof threshold.sign = (share, purpose, message) => {
    const signature = threshold.sign(share, purpose, message);
    signatures.push(signature);
    return signature;
  };
  const curves = { ...suites, threshold: { ...threshold, sign }, scalars, nameOf: publicKeyOf };
  const { kind, violations, undelivered, lastStates } = runHandoverMoney(
    2,
    honestHandoverMoney,
    false,
    curves,
  );
  expect({ kind, violations, undelivered }).toEqual({
    kind: 'split',
    violations: [],
    undelivered: 0,
  });
  expect([...lastStates.values()].filter((state) => state === 'registered').length).toBeGreaterThan(
    4,
  );
  expect(signatures.length).toBeGreaterThan(50);
  expect(signatures.every((each) => isCompressedPoint(each))).toBe(true);
});
