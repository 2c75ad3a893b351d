/**
 * Goal: a payment whose disk or job fails ends, and its caller receives the error.
 * Method: the runner over elders that send shares which a scripted job combines.
 */
import { expect, test } from 'vitest';
import { ok } from '#core/result.ts';
import { decodeSpentbookRequest, encodeSpentbookAnswer } from '#protocol/spentbook/index.ts';
import { runPayment, type PaymentPorts } from '#runtime/payment-runner.ts';
import type { PaymentResult } from '#safe/payment/index.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { makeSection, toyIdentity, toyName } from '../money/fixtures.ts';
import { transactionOf } from '../wallet/coins.ts';

const toy = makeSection(toySuite, toyScalars, toyName);
const share = new Uint8Array(48);
const combined: PaymentResult = { kind: 'combined', signature: share };

async function run(changed: Partial<PaymentPorts>) {
  const { transaction } = transactionOf('alice');
  const bundle = {
    transaction,
    sources: [{ kind: 'genesis' } as const],
    prepared: null,
    certificates: null,
  };
  const sections = onlyPaymentSection(toy.section, toy.elders);
  return runPayment(
    { sections, identity: toyIdentity, bundle, repeatEveryMs: 1_000 },
    {
      ask: async (_elder, request) => {
        if (request.kind !== 'slot') return { ok: false, error: 'unresponsive' };
        const prepare = decodeSpentbookRequest(request.slot, request.message);
        if (!prepare.ok) throw new Error('the runner sends what decodes');
        const answer = {
          kind: 'prepared',
          request: prepare.value.request,
          ballot: 0,
          share,
        } as const;
        return ok({ kind: 'money', message: encodeSpentbookAnswer(answer as never) });
      },
      facts: { load: async () => [], append: async () => undefined },
      suite: toySuite,
      now: () => 0,
      randomBytes: (length) => new Uint8Array(length),
      onOutput: () => undefined,
      onFault: () => undefined,
      compute: async () => combined,
      ...changed,
    },
  );
}

test('a fact that cannot be stored → the payment ends with that error', async () => {
  const append = async (): Promise<void> => {
    throw new Error('no space');
  };
  const running = await run({ facts: { load: async () => [], append } });
  await expect(running.ended).rejects.toThrow('no space');
});

test('a job that fails → the payment ends with that error', async () => {
  const compute = async (): Promise<never> => {
    throw new Error('the job failed');
  };
  const running = await run({ compute });
  await expect(running.ended).rejects.toThrow('the job failed');
});
