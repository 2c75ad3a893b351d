/**
 * Goal: five of seven is needed. With a section key of four shares (a simple majority) two liars
 * help two honest elders on each side of a race, and the coin is spent twice.
 * Method: the same network with a polynomial of degree 3 and clients that combine four shares.
 */
import { expect, test, vi } from 'vitest';
import { makeSection, toyName, toyIdentity } from '../../unit/money/fixtures.ts';
import { toyScalars, toySuite } from '../toys/toy-suite.ts';
import { makePaymentCast } from './payment-cast.ts';
import { createCompute, honestParts, type Parts } from './payment-net.ts';
import { runPaymentSeed } from './payment-check.ts';
import { performPaymentJob } from '#safe/payment/index.ts';

vi.mock('../../../src/protocol/section/quorum.ts', async (original) => ({
  ...(await original<object>()),
  SHARES_REQUIRED: 4,
}));
vi.setConfig({ testTimeout: 120_000 });

const storm = { dropProbability: 0.6, latencyMs: [1, 900] } as const;

test('planted bug: a simple majority signs → a double spend is found', () => {
  const section = makeSection(toySuite, toyScalars, toyName, 4);
  const stage = {
    test: section,
    suite: toySuite,
    identity: toyIdentity,
    cast: makePaymentCast(section, toySuite),
    knownGood: new Set<string>(),
  };
  const parts: Parts = {
    ...honestParts,
    paymentJob: (job, suite) => {
      if (job.kind !== 'combine') return performPaymentJob(job, suite);
      const { section: signers, purpose, bytes, shares } = job;
      const good = shares.filter(({ index, signature }) => {
        const elder = signers.elders.find((each) => each.index === index);
        return elder !== undefined && suite.verify(elder.publicShare, purpose, bytes, signature);
      });
      const signature = good.length >= 4 ? suite.combine(good.slice(0, 4)) : undefined;
      const wrong = shares.filter((each) => !good.includes(each)).map(({ index }) => index);
      return signature === undefined
        ? { kind: 'combineFailed', wrong }
        : { kind: 'combined', signature };
    },
  };
  const compute = createCompute(parts, toySuite);
  const reasons = new Set<string>();
  for (let seed = 2; seed <= 600 && reasons.size === 0; seed += 3) {
    try {
      // Every third seed has two liars; the faults keep the two devices' elders apart.
      runPaymentSeed(stage, seed, parts, compute, ['alice-phone'], 0, storm);
    } catch (cause) {
      if (/noDoubleSpend/.test(String(cause))) reasons.add(String(cause));
    }
  }
  expect([...reasons].join()).toMatch(/noDoubleSpend/);
});
