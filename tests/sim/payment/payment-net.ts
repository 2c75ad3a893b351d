/** Seven elders (spentbook and mint) and any number of paying clients as one union machine. */
import { createHash } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { lift } from '#core/lift-effects.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { keyed, type Keyed, type KeyedState } from '../keyed.ts';
import type { Context, Effect, Machine, Step } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  decodeMintFact,
  decodeMintRequest,
  encodeMintAnswer,
  encodeMintFact,
  mint,
  mintKey,
  performMintJob,
  type Mint,
  type MintConfig,
  type MintJob,
  type MintResult,
  type MintState,
} from '#protocol/mint/index.ts';
import {
  decodeSpentbookFact,
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  encodeSpentbookFact,
  isSpentbookAnswer,
  performSpentbookJob,
  spentbook,
  spentbookKey,
  type Spentbook,
  type SpentbookConfig,
  type SpentbookJob,
  type SpentbookResult,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import {
  payment,
  performPaymentJob,
  type Payment,
  type PaymentBundle,
  type PaymentConfig,
  type PaymentJob,
  type PaymentResult,
  type PaymentState,
} from '#safe/payment/index.ts';

import { createClient } from './adopting-client.ts';

/** Messages and facts are bytes, so every run tests the codecs too. */
export type NetMessage =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'money'; readonly asked: 'slot' | 'output'; readonly message: Uint8Array };

export type NetFact =
  | { readonly kind: 'spentbook' | 'mint'; readonly key: string; readonly bytes: Uint8Array }
  /** Of a client: the payment's txid in hex. */
  | { readonly kind: 'payment'; readonly txid: string; readonly bytes: Uint8Array }
  | { readonly kind: 'started'; readonly txid: string };

export type NetOutput =
  | { readonly kind: 'sent'; readonly message: NetMessage }
  | Mint['output']
  | { readonly kind: 'payment'; readonly txid: string; readonly output: Payment['output'] };

export interface Net {
  readonly input: { readonly kind: 'go' };
  readonly message: NetMessage;
  readonly fact: NetFact;
  readonly output: NetOutput;
  readonly fault: Spentbook['fault'] | Mint['fault'] | Payment['fault'];
  readonly timer: string;
  readonly job: NetJob;
  readonly jobId:
    | { readonly kind: 'slot'; readonly id: Keyed<Spentbook>['jobId'] }
    | { readonly kind: 'output'; readonly id: Keyed<Mint>['jobId'] }
    | { readonly kind: 'payment'; readonly txid: string; readonly id: Payment['jobId'] };
  readonly result: SpentbookResult | MintResult | PaymentResult;
}

export type NetJob =
  | { readonly kind: 'spentbook'; readonly job: SpentbookJob }
  | { readonly kind: 'mint'; readonly job: MintJob }
  | { readonly kind: 'payment'; readonly job: PaymentJob };

export type NetConfig =
  | { readonly kind: 'elder'; readonly spentbook: SpentbookConfig; readonly mint: MintConfig }
  | {
      readonly kind: 'client';
      readonly payment: PaymentConfig;
      /** The wallet of this device: the bundle of an adopted transaction, null for a foreign one. */
      readonly adopt?: (transaction: Uint8Array) => PaymentBundle | null;
    };

export type NetState =
  | {
      readonly kind: 'elder';
      readonly slots: KeyedState<SpentbookState>;
      readonly outputs: KeyedState<MintState>;
    }
  /** By txid in hex: its own payment first, then the adopted ones. */
  | { readonly kind: 'client'; readonly payments: ReadonlyMap<string, PaymentState> };

/** The parts of an elder; a mutant replaces one of them. */
export interface Parts {
  readonly spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook>;
  readonly mint: Machine<MintConfig, MintState, Mint>;
  readonly reorder: (effects: readonly Effect<Net>[]) => readonly Effect<Net>[];
  readonly spentbookJob: typeof performSpentbookJob;
  readonly mintJob: typeof performMintJob;
  readonly paymentJob: typeof performPaymentJob;
  readonly payment: Machine<PaymentConfig, PaymentState, Payment>;
}

export const honestParts: Parts = {
  spentbook,
  mint,
  reorder: (effects) => effects,
  spentbookJob: performSpentbookJob,
  mintJob: performMintJob,
  paymentJob: performPaymentJob,
  payment,
};

export type Outcome = Step<NetState, Net>;
type ElderConfig = NetConfig & { readonly kind: 'elder' };
type ElderState = NetState & { readonly kind: 'elder' };

export function createNet(parts: Parts): Machine<NetConfig, NetState, Net> {
  const slots = keyed(parts.spentbook);
  const outputs = keyed(parts.mint);

  const liftSlots = (effects: readonly Effect<Keyed<Spentbook>>[]): readonly Effect<Net>[] =>
    lift<Keyed<Spentbook>, Net>(effects, {
      jobId: (id) => ({ kind: 'slot', id }),
      fact: ({ key, fact }) => ({ kind: 'spentbook', key, bytes: encodeSpentbookFact(fact) }),
      message: ({ message }) => {
        assert(isSpentbookAnswer(message), 'elders answer');
        return { kind: 'money', asked: 'slot', message: encodeSpentbookAnswer(message) };
      },
      fault: (fault) => fault,
      timer: (timer) => timer,
      job: (job) => ({ kind: 'spentbook', job }),
    }).effects;

  /**
   * Keeps the mint's order: persist the fact, then update the list and the slots, then send the
   * acknowledgement.
   */
  const settle = (
    config: ElderConfig,
    state: ElderState,
    step: Step<KeyedState<MintState>, Keyed<Mint>>,
    context: Context,
  ): Outcome => {
    const effects: Effect<Net>[] = [];
    let now = state.slots;
    for (const effect of step.effects) {
      const lifted = lift<Keyed<Mint>, Net>([effect], {
        jobId: (id) => ({ kind: 'output', id }),
        fact: ({ key, fact }) => ({ kind: 'mint', key, bytes: encodeMintFact(fact) }),
        message: ({ message }) => {
          assert(message.kind !== 'register', 'elders answer');
          return { kind: 'money', asked: 'output', message: encodeMintAnswer(message) };
        },
        fault: (fault) => fault,
        timer: (timer) => timer,
        job: (job) => ({ kind: 'mint', job }),
      });
      effects.push(...lifted.effects);
      for (const { output } of lifted.outputs) {
        effects.push({ kind: 'output', output });
        for (const decision of output.decisions) {
          const key = spentbookKey(decision.slot);
          const input = { key, input: { kind: 'settle', decision } } as const;
          const settled = slots.step(config.spentbook, now, { kind: 'input', input }, context);
          now = settled.state;
          effects.push(...liftSlots(settled.effects));
        }
      }
    }
    return elder({ ...state, slots: now, outputs: step.state }, effects);
  };

  /** Outputs every answer to the checkers just before it is sent. */
  const elder = (state: ElderState, effects: readonly Effect<Net>[]): Outcome => ({
    state,
    effects: parts
      .reorder(effects)
      .flatMap((effect): readonly Effect<Net>[] =>
        effect.kind === 'send'
          ? [{ kind: 'output', output: { kind: 'sent', message: effect.message } }, effect]
          : [effect],
      ),
  });

  const { clientStart, clientStep } = createClient(parts.payment);

  return {
    start: (config, facts, context) => {
      if (config.kind === 'client') {
        return clientStart(config, facts, context);
      }
      const written = facts.flatMap((fact) =>
        fact.kind === 'spentbook'
          ? [{ key: fact.key, fact: must(decodeSpentbookFact(fact.bytes)) }]
          : [],
      );
      const listed = facts.flatMap((fact) =>
        fact.kind === 'mint' ? [{ key: fact.key, fact: must(decodeMintFact(fact.bytes)) }] : [],
      );
      const spent = slots.start(config.spentbook, written, context);
      const registry = outputs.start(config.mint, listed, context);
      const state: ElderState = { kind: 'elder', slots: spent.state, outputs: registry.state };
      return settle(config, state, registry, context);
    },

    step: (config, state, event, context) => {
      if (config.kind === 'client') {
        assert(state.kind === 'client', 'a client stays a client');
        return clientStep(config, state, event, context);
      }
      assert(state.kind === 'elder', 'an elder stays an elder');
      if (event.kind === 'received' && event.message.kind === 'slot') {
        const { slot } = event.message;
        const message = decodeSpentbookRequest(slot, event.message.message);
        if (!message.ok) return unchanged(state);
        const asked = { key: spentbookKey(slot), message: message.value };
        const received = { kind: 'received', from: event.from, message: asked } as const;
        const step = slots.step(config.spentbook, state.slots, received, context);
        return elder({ ...state, slots: step.state }, liftSlots(step.effects));
      }
      if (event.kind === 'received' && event.message.kind === 'output') {
        const { key } = event.message;
        const message = decodeMintRequest(key, event.message.message);
        if (!message.ok) return unchanged(state);
        const asked = { key: mintKey(key), message: message.value };
        const received = { kind: 'received', from: event.from, message: asked } as const;
        return settle(
          config,
          state,
          outputs.step(config.mint, state.outputs, received, context),
          context,
        );
      }
      if (event.kind === 'computed' && event.id.kind === 'slot') {
        const { id } = event.id;
        const done = { kind: 'computed', id, result: event.result as SpentbookResult } as const;
        const step = slots.step(config.spentbook, state.slots, done, context);
        return elder({ ...state, slots: step.state }, liftSlots(step.effects));
      }
      if (event.kind === 'computed' && event.id.kind === 'output') {
        const { id } = event.id;
        const done = { kind: 'computed', id, result: event.result as MintResult } as const;
        return settle(
          config,
          state,
          outputs.step(config.mint, state.outputs, done, context),
          context,
        );
      }
      return unchanged(state);
    },
  };
}

/** Runs each distinct job once per test file: jobs are pure. */
export function createCompute(parts: Parts, suite: ThresholdSuite): (job: NetJob) => Net['result'] {
  const known = new Map<string, Net['result']>();
  return (asked) => {
    const key = createHash('sha256').update(encodeCbor(asked)).digest('base64');
    const before = known.get(key);
    if (before !== undefined) return before;
    const result =
      asked.kind === 'spentbook'
        ? parts.spentbookJob(asked.job, suite)
        : asked.kind === 'mint'
          ? parts.mintJob(asked.job, suite)
          : parts.paymentJob(asked.job, suite);
    known.set(key, result);
    return result;
  };
}

export function must<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false },
): T {
  if (!result.ok) throw new Error('our own facts decode');
  return result.value;
}
