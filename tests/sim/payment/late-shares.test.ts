/**
 * Goal: shares of two ballots are never combined, and no elder is blamed for an answer that came late.
 * Method: the payment machine alone; seven elders answer for ballot 1 while the payment is at ballot 0.
 */
import { expect, test } from 'vitest';
import type { Context } from '#core/machine.ts';
import { payment, type PaymentConfig, type PaymentState } from '#safe/payment/index.ts';
import { spendStatementBytes } from '#money/spend-certificate.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';
import { toySuite } from '../toys/toy-suite.ts';
import { toyPaymentSetup } from './payment-check.ts';

const { test: section, identity, cast } = toyPaymentSetup();
const [actor] = cast.actors;
if (actor === undefined) throw new Error('a cast');
const sections = onlyPaymentSection(section.section, section.elders);
const config: PaymentConfig = { sections, identity, bundle: actor.bundle, repeatEveryMs: 400 };
const context: Context = { now: 0, entropy: new Uint8Array(32) };

/** Every elder answers the first request with its share for this ballot. @returns the kinds of effects. */
function answeredAt(ballot: number): readonly string[] {
  let state: PaymentState = payment.start(config, [], context).state;
  const [slot] = state.plan.slots;
  const [request] = state.plan.requests.preparing;
  if (slot === undefined || request === undefined) throw new Error('one input');
  const { keyImage } = slot;
  const bytes = spendStatementBytes(section.section, { keyImage, ballot, txid: state.plan.txid });
  return section.elders.flatMap(({ id, secretShare }) => {
    const share = toySuite.sign(secretShare, 'PREPARE', bytes);
    const answer = { kind: 'prepared', request, ballot, share } as const;
    const message = { kind: 'slotAnswer', answer } as const;
    const step = payment.step(config, state, { kind: 'received', from: id, message }, context);
    state = step.state;
    return step.effects.map(({ kind }) => kind);
  });
}

test('SPENTBOOK-R4: shares of another ballot → not combined, no elder blamed', () => {
  expect(answeredAt(0)).toEqual(['compute']);
  expect(answeredAt(1)).toEqual([]);
});
