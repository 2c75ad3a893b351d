/**
 * Goal: five of seven is needed. With a section key of four shares (a simple majority) two liars
 * help two honest elders on each side of a race, and the coin is spent twice.
 * Method: the same network with a polynomial of degree 3 and clients that combine four shares.
 */
import { expect, test, vi } from 'vitest';
import { makeSection, toyName, toyIdentity } from '../unit/money/fixtures.ts';
import { toyScalars, toySuite } from './toy-suite.ts';
import { makeCast } from './payment-scenario.ts';
import { createCompute, honestParts, type Parts } from './payment-net.ts';
import { runSeed } from './payment-check.ts';
import { performPaymentJob } from '#safe/payment/index.ts';
import { statementBytes } from '#money/certificate.ts';

vi.mock('../../src/safe/payment/jobs.ts', async (original) => ({
  ...(await original<object>()),
  sharesRequired: 4,
}));
vi.setConfig({ testTimeout: 120_000 });

const storm = { dropProbability: 0.6, latencyMs: [1, 900] } as const;

test('planted bug: a simple majority signs: a double spend is found', () => {
  const section = makeSection(toySuite, toyScalars, toyName, 4);
  const stage = {
    test: section,
    suite: toySuite,
    identity: toyIdentity,
    cast: makeCast(section, toySuite),
    knownGood: new Set<string>(),
  };
  const parts: Parts = {
    ...honestParts,
    paymentJob: (job, suite) => {
      if (job.kind !== 'combine') return performPaymentJob(job, suite);
      const message = statementBytes(job.section, job.statement);
      const good = job.shares.filter((each) =>
        suite.verify(each.publicShare, job.phase, message, each.share),
      );
      const bad = job.shares.filter((each) => !good.includes(each)).map(({ from }) => from);
      const chosen = good.slice(0, 4).map(({ index, share }) => ({ index, signature: share }));
      const signature = chosen.length === 4 ? suite.combine(chosen) : undefined;
      const certificate = signature ? { epoch: 0n, ballot: 0, signature, sealed: null } : null;
      return { kind: 'combined', certificate, bad };
    },
  };
  const compute = createCompute(parts, toySuite);
  const reasons = new Set<string>();
  for (let seed = 2; seed <= 600 && reasons.size === 0; seed += 3) {
    try {
      // Every third seed has two liars; the weather keeps the two devices' elders apart.
      runSeed(stage, seed, parts, compute, ['alice-phone'], 0, storm);
    } catch (cause) {
      if (/noDoubleSpend/.test(String(cause))) reasons.add(String(cause));
    }
  }
  expect([...reasons].join()).toMatch(/noDoubleSpend/);
});
