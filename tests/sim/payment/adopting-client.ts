/** A device in the simulator: it pays, and adopts payments that other devices of its wallet have begun. */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { lift } from '#core/lift-effects.ts';
import type { Context, Effect, Event, Step } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import { decodeTransaction, encodeTransaction, txidOf } from '#money/transaction.ts';
import {
  decodePaymentAnswer,
  decodePaymentFact,
  encodePaymentFact,
  encodePaymentRequest,
  type Payment,
  type PaymentBundle,
  type PaymentResult,
  type PaymentState,
} from '#safe/payment/index.ts';
import {
  must,
  type Net,
  type NetConfig,
  type NetFact,
  type NetState,
  type Outcome,
  type Parts,
} from './payment-net.ts';

type ClientConfig = NetConfig & { readonly kind: 'client' };
type ClientState = NetState & { readonly kind: 'client' };

/** One payment of its own, and those that it adopts from other devices of the same wallet. */
export function createClient(machine: Parts['payment']) {
  const idOf = ({ transaction }: PaymentBundle): string =>
    toHex(txidOf(must(decodeTransaction(transaction))));

  /** Continues with this step of one payment; an adopted one is stored before it starts. */
  const proceed = (
    config: ClientConfig,
    state: ClientState,
    txid: string,
    step: Step<PaymentState, Payment>,
    context: Context,
  ): Outcome => {
    let now: ClientState = { ...state, payments: new Map(state.payments).set(txid, step.state) };
    const effects: Effect<Net>[] = [];
    for (const effect of step.effects) {
      if (effect.kind !== 'output') {
        effects.push(
          ...lift<Payment, Net>([effect], {
            jobId: (id) => ({ kind: 'payment', txid, id }),
            fact: (fact) => ({ kind: 'payment', txid, bytes: encodePaymentFact(fact) }),
            message: (message) => {
              const request = encodePaymentRequest(message);
              assert(request !== undefined, 'clients ask');
              return request;
            },
            fault: (fault) => fault,
            timer: () => txid,
            job: (job) => ({ kind: 'payment', job }),
          }).effects,
        );
        continue;
      }
      const { output } = effect;
      effects.push({ kind: 'output', output: { kind: 'payment', txid, output } });
      if (output.kind !== 'adopt') continue;
      const bundle = config.adopt?.(output.other.transaction) ?? null;
      if (bundle === null || now.payments.has(idOf(bundle))) continue;
      const adopted = begin(config, now, bundle, context);
      assert(adopted.state.kind === 'client', 'a client stays a client');
      now = adopted.state;
      effects.push(...adopted.effects);
    }
    return { state: now, effects };
  };

  const begin = (
    config: ClientConfig,
    state: ClientState,
    bundle: PaymentBundle,
    context: Context,
  ): Outcome => {
    const txid = idOf(bundle);
    const first = machine.start({ ...config.payment, bundle }, [], context);
    const { state: now, effects } = proceed(config, state, txid, first, context);
    return {
      state: now,
      effects: [{ kind: 'persist', fact: { kind: 'started', txid } }, ...effects],
    };
  };

  const bundleAt = (
    config: ClientConfig,
    txid: string,
    facts: readonly NetFact[],
  ): PaymentBundle => {
    if (idOf(config.payment.bundle) === txid) return config.payment.bundle;
    const adopted = facts.flatMap((fact) => {
      const own = fact.kind === 'payment' ? must(decodePaymentFact(fact.bytes)) : undefined;
      if (own?.kind !== 'adopted' || toHex(own.adoption.txid) !== txid) return [];
      const bundle = config.adopt?.(own.adoption.transaction) ?? null;
      return bundle === null ? [] : [bundle];
    });
    assert(adopted[0] !== undefined, 'an adopted payment was stored');
    return adopted[0];
  };

  const clientStart = (
    config: ClientConfig,
    facts: readonly NetFact[],
    context: Context,
  ): Outcome => {
    const txids = facts.flatMap((fact) => (fact.kind === 'started' ? [fact.txid] : []));
    let outcome: Outcome = { state: { kind: 'client', payments: new Map() }, effects: [] };
    for (const txid of txids) {
      const own = facts.flatMap((fact) =>
        fact.kind === 'payment' && fact.txid === txid ? [must(decodePaymentFact(fact.bytes))] : [],
      );
      const { state, effects } = outcome;
      assert(state.kind === 'client', 'a client stays a client');
      if (state.payments.has(txid)) continue;
      const bundle = bundleAt(config, txid, facts);
      const step = machine.start({ ...config.payment, bundle }, own, context);
      const next = proceed(config, state, txid, step, context);
      outcome = { state: next.state, effects: [...effects, ...next.effects] };
    }
    return outcome;
  };

  const clientStep = (
    config: ClientConfig,
    state: ClientState,
    event: Event<Net>,
    context: Context,
  ): Outcome => {
    if (event.kind === 'input') {
      return state.payments.size > 0
        ? unchanged(state)
        : begin(config, state, config.payment.bundle, context);
    }
    const stepAt = (txid: string, own: Event<Payment>): Outcome => {
      const before = state.payments.get(txid);
      if (before === undefined) return unchanged(state);
      const transaction = encodeTransaction(before.plan.transaction);
      const bundle = { ...config.payment.bundle, transaction };
      const step = machine.step({ ...config.payment, bundle }, before, own, context);
      return proceed(config, state, txid, step, context);
    };
    if (event.kind === 'timerFired') {
      return stepAt(event.timer, { kind: 'timerFired', timer: 'repeat' });
    }
    if (event.kind === 'computed') {
      assert(event.id.kind === 'payment', 'a client runs jobs of its payments');
      const result = event.result as PaymentResult;
      return stepAt(event.id.txid, { kind: 'computed', id: event.id.id, result });
    }
    if (event.message.kind !== 'money') return unchanged(state);
    const message = decodePaymentAnswer(event.message.asked, event.message.message);
    if (!message.ok || !('answer' in message.value)) return unchanged(state);
    const { request } = message.value.answer;
    const asked = [...state.payments].find(([, { plan }]) =>
      Object.values(plan.requests).some((ids) => ids.some((id) => equalBytes(id, request))),
    );
    if (asked === undefined) return unchanged(state);
    return stepAt(asked[0], { kind: 'received', from: event.from, message: message.value });
  };

  return { clientStart, clientStep };
}
