/**
 * A paying client as part of a larger simulated world: idle until `go`, then the payment machine
 * with messages as bytes.
 */
import { createHash } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import type { Context, Effect, Event, Step, TimerId } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import {
  decodePaymentAnswer,
  encodePaymentRequest,
  payment,
  type Payment,
  type PaymentConfig,
  type PaymentFact,
  type PaymentSections,
  type PaymentState,
} from '#safe/payment/index.ts';

export interface PayingClientState {
  readonly kind: 'client';
  /** Null until `go`. */
  readonly payment: PaymentState | null;
}

export type PayingMessage =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'money'; readonly asked: 'slot' | 'output'; readonly message: Uint8Array };

export type PayingInput =
  { readonly kind: 'go' } | { readonly kind: 'sections'; readonly sections: PaymentSections };

export type PayingFact =
  { readonly kind: 'started' } | { readonly kind: 'payment'; readonly fact: PaymentFact };

export interface Paying {
  readonly input: PayingInput;
  readonly message: PayingMessage;
  readonly fact: PayingFact;
  readonly output: { readonly kind: 'payment'; readonly output: Payment['output'] };
  readonly fault: Payment['fault'];
  readonly timer: Payment['timer'];
  readonly job: { readonly kind: 'payment'; readonly job: Payment['job'] };
  readonly jobId: { readonly kind: 'payment'; readonly id: Payment['jobId'] };
  readonly result: unknown;
}

/** The other messages and inputs of its world, which it ignores. */
interface SurroundingProtocol extends Omit<Paying, 'input' | 'message' | 'timer' | 'jobId'> {
  readonly input:
    | PayingInput
    | { readonly kind: 'section' | 'store' | 'close' | 'snapshotsReferenced' | 'sealed' };
  readonly message: PayingMessage | { readonly kind: 'section' | 'store' | 'handover' };
  readonly timer: TimerId;
  readonly jobId: Paying['jobId'] | { readonly kind: 'section' | 'slot' | 'output' | 'handover' };
}

type PayingStep = Step<PayingClientState, Paying>;

export function startPayingClient(
  config: PaymentConfig,
  facts: readonly { readonly kind: string }[],
  context: Context,
): PayingStep {
  if (facts.length === 0) return unchanged({ kind: 'client', payment: null });
  const own = facts.filter(isPayment).map(({ fact }) => fact);
  return lifted(payment.start(config, own, context));
}

const isPayment = (fact: {
  readonly kind: string;
}): fact is Extract<PayingFact, { readonly kind: 'payment' }> => fact.kind === 'payment';

export function stepPayingClient(
  config: PaymentConfig,
  state: PayingClientState,
  event: Event<SurroundingProtocol>,
  context: Context,
): PayingStep {
  const own = state.payment;
  if (own === null) {
    if (event.kind !== 'input' || event.input.kind !== 'go') return unchanged(state);
    const started = { kind: 'persist', fact: { kind: 'started' } } as const;
    return lifted(payment.start(config, [], context), [started]);
  }
  switch (event.kind) {
    case 'input':
      if (event.input.kind !== 'sections') return unchanged(state);
      return lifted(payment.step(config, own, { kind: 'input', input: event.input }, context));
    case 'received': {
      if (event.message.kind !== 'money') return unchanged(state);
      const message = decodePaymentAnswer(event.message.asked, event.message.message);
      if (!message.ok) return unchanged(state);
      const received = { kind: 'received', from: event.from, message: message.value } as const;
      return lifted(payment.step(config, own, received, context));
    }
    case 'timerFired':
      return lifted(payment.step(config, own, { kind: 'timerFired', timer: 'repeat' }, context));
    case 'computed': {
      if (event.id.kind !== 'payment') return unchanged(state);
      const result = event.result as Payment['result'];
      const done = { kind: 'computed', id: event.id.id, result } as const;
      return lifted(payment.step(config, own, done, context));
    }
  }
}

function lifted(
  step: Step<PaymentState, Payment>,
  before: readonly Effect<Paying>[] = [],
): PayingStep {
  const effects = [...before];
  for (const effect of step.effects) {
    switch (effect.kind) {
      case 'output':
        effects.push({ kind: 'output', output: { kind: 'payment', output: effect.output } });
        break;
      case 'send': {
        const message = encodePaymentRequest(effect.message);
        assert(message !== undefined, 'clients ask');
        effects.push({ kind: 'send', to: effect.to, message });
        break;
      }
      case 'persist':
        effects.push({ kind: 'persist', fact: { kind: 'payment', fact: effect.fact } });
        break;
      case 'compute':
        effects.push({
          kind: 'compute',
          id: { kind: 'payment', id: effect.id },
          job: { kind: 'payment', job: effect.job },
        });
        break;
      default:
        effects.push(effect);
    }
  }
  return { state: { kind: 'client', payment: step.state }, effects };
}

/** Runs pure, expensive jobs once per distinct job. */
export function memoizedJobs<J>(perform: (job: J) => unknown): (job: J) => unknown {
  const known = new Map<string, unknown>();
  return (job) => {
    const key = createHash('sha256').update(encodeCbor(job)).digest('base64');
    const before = known.get(key);
    if (before !== undefined) return before;
    const result = perform(job);
    known.set(key, result);
    return result;
  };
}
