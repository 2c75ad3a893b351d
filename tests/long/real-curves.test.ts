/**
 * Goal: results of the toy algebra for a section hold with the curves of a real node.
 * Method: one seed of each scenario that takes too long for every day, as in
 * tests/sim/full-node/real-curves.test.ts; a minute and a half together, half of it for
 * `section-life`.
 */
import { expect, test } from 'vitest';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import { dkgLies } from '../sim/dkg/dkg-adversaries.ts';
import { dkgCastOf, hostile, missing, playDkg, valueOf } from '../sim/dkg/dkg-world.ts';
import { withLies } from '../sim/scenarios/dkg.ts';
import { createRealCurves } from '../sim/toys/curves.ts';
import { runRelocation } from '../sim/scenarios/relocation.ts';
import { runLife } from '../sim/scenarios/section-life.ts';
import { runSplit } from '../sim/scenarios/split.ts';
import { sectionLieNamed } from '../sim/section/section-adversaries.ts';

const scenarios = { split: runSplit, relocation: runRelocation };

test.each(['split', 'relocation'] as const)('%s: one seed with real keys', (name) => {
  const plan = { curves: createRealCurves(), lie: sectionLieNamed('wrong churn share') };
  const { violations, undelivered, liars } = scenarios[name](1, plan);
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(liars).toHaveLength(2);
});

test('section-life: one seed with real keys, everything at once', () => {
  const { violations, undelivered, summary } = runLife(1, createRealCurves());
  expect({ violations, undelivered }, summary).toEqual({ violations: [], undelivered: 0 });
});

test('dkg: one seed with real keys, one candidate unresponsive, one late', () => {
  const real = dkgCastOf(productionSuites, ed25519PublicKey);
  const silence = valueOf(dkgLies.find(({ name }) => name.startsWith('silence')));
  const faults = { ...hostile, dropProbability: 0.1, crashProbability: 0.005 };
  const given = withLies(real, new Map([[4, silence]]), valueOf(real.ids[0]));
  const outcome = playDkg(3, { ...given, faults, healAtMs: 3000 });
  expect(missing(real, outcome)).toEqual([]);
});
