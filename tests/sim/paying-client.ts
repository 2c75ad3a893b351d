/**
 * Somebody who pays, as a part of a world where other things happen: asleep until told to go, then the
 * payment machine, whose words travel as bytes.
 */
import { createHash } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { stay, type Context, type Effect, type Event, type Step } from '#core/machine.ts';
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

export interface ClientState {
  readonly kind: 'client';
  /** Null until it was told to go. */
  readonly payment: PaymentState | null;
}

export type PayingMessage =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'money'; readonly asked: 'slot' | 'output'; readonly message: Uint8Array };

export type PayingInput =
  { readonly kind: 'go' } | { readonly kind: 'sections'; readonly sections: PaymentSections };

export type PayingFact =
  { readonly kind: 'went' } | { readonly kind: 'payment'; readonly fact: PaymentFact };

export interface Paying {
  readonly input: PayingInput;
  readonly message: PayingMessage;
  readonly fact: PayingFact;
  readonly output: { readonly kind: 'payment'; readonly output: Payment['output'] };
  readonly fault: Payment['fault'];
  readonly timer: Payment['timer'];
  readonly job: { readonly kind: 'payment'; readonly job: Payment['job'] };
  readonly result: unknown;
}

/** What else is said in its world is not for it. */
interface Around extends Omit<Paying, 'input' | 'message' | 'timer'> {
  readonly input:
    PayingInput | { readonly kind: 'section' | 'store' | 'close' | 'cited' | 'sealed' };
  readonly message: PayingMessage | { readonly kind: 'section' | 'store' | 'handover' };
  readonly timer: string;
}

type Outcome = Step<ClientState, Paying>;

export function startClient(
  config: PaymentConfig,
  facts: readonly { readonly kind: string }[],
  context: Context,
): Outcome {
  if (facts.length === 0) return stay({ kind: 'client', payment: null });
  const own = facts.filter(isPayment).map(({ fact }) => fact);
  return lifted(payment.start(config, own, context));
}

const isPayment = (fact: {
  readonly kind: string;
}): fact is Extract<PayingFact, { readonly kind: 'payment' }> => fact.kind === 'payment';

export function stepClient(
  config: PaymentConfig,
  state: ClientState,
  event: Event<Around>,
  context: Context,
): Outcome {
  const own = state.payment;
  if (own === null) {
    if (event.kind !== 'input' || event.input.kind !== 'go') return stay(state);
    const went = { kind: 'persist', fact: { kind: 'went' } } as const;
    return lifted(payment.start(config, [], context), [went]);
  }
  switch (event.kind) {
    case 'input':
      if (event.input.kind !== 'sections') return stay(state);
      return lifted(payment.step(config, own, { kind: 'input', input: event.input }, context));
    case 'received': {
      if (event.message.kind !== 'money') return stay(state);
      const message = decodePaymentAnswer(event.message.asked, event.message.message);
      if (!message.ok) return stay(state);
      const heard = { kind: 'received', from: event.from, message: message.value } as const;
      return lifted(payment.step(config, own, heard, context));
    }
    case 'timerFired':
      return lifted(payment.step(config, own, { kind: 'timerFired', timer: 'repeat' }, context));
    case 'computed': {
      const result = event.result as Payment['result'];
      const done = { kind: 'computed', id: event.id, result } as const;
      return lifted(payment.step(config, own, done, context));
    }
  }
}

function lifted(
  step: Step<PaymentState, Payment>,
  before: readonly Effect<Paying>[] = [],
): Outcome {
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
        effects.push({ ...effect, job: { kind: 'payment', job: effect.job } });
        break;
      default:
        effects.push(effect);
    }
  }
  return { state: { kind: 'client', payment: step.state }, effects };
}

/** Performs jobs, each distinct one once: they are pure, and those of money are dear. */
export function remembered<J>(perform: (job: J) => unknown): (job: J) => unknown {
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
