/** Sends the requests of the current phase, and repeats them until enough elders have answered. */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { Effect } from '#core/machine.ts';
import { sectionKeyHash } from '#money/spend-certificate.ts';
import { outputName } from '#protocol/mint/index.ts';
import { hasShareOf, SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { PaymentMessage } from './messages.ts';
import { hasVotedOtherwise, holdsBack } from './adopt-other-payment.ts';
import { paymentSectionAt } from './request-plan.ts';
import type { AskingPhase, Payment, PaymentConfig, PaymentElder, PaymentState } from './state.ts';

/** The pause doubles at most this often: up to sixteen times the first one. */
const maxDoublings = 4;

/** Sends the identical request to every elder that has not answered it usefully (PAYMENT-P1). */
export function sendRequests(
  config: PaymentConfig,
  state: PaymentState,
): readonly Effect<Payment>[] {
  const { phase, plan, sections, sources } = state;
  const { transaction } = config.bundle;
  const effects: Effect<Payment>[] = [];
  const send = (
    address: Uint8Array,
    skip: (elder: PaymentElder) => boolean,
    message: (section: Uint8Array) => PaymentMessage,
  ): void => {
    const at = paymentSectionAt(sections, address);
    if (at === undefined) return;
    const to = at.elders.filter((elder) => !skip(elder)).map(({ name }) => toHex(name));
    if (to.length > 0) {
      effects.push({ kind: 'send', to, message: message(sectionKeyHash(at.key)) });
    }
  };
  const skipNone = (): boolean => false;
  if (phase.kind === 'proving') {
    for (const [index, { slot, epoch }] of phase.missing.entries()) {
      const request = requestAt(plan, phase.kind, index);
      const message = { kind: 'prove', request, slot, epoch } as const;
      send(slot, skipNone, () => ({ kind: 'slot', slot, message }));
    }
  } else if (phase.kind === 'preparing' || phase.kind === 'committing') {
    // PAYMENT-P8: votes for ours would be missing for the one that goes first.
    const onlyVoters = phase.kind === 'preparing' && holdsBack(state);
    for (const [index, { name: slot, ballot }] of plan.slots.entries()) {
      const collection = phase.collections[index];
      if (collection === undefined || collection.certificate !== null) continue;
      const { collector } = collection;
      const request = requestAt(plan, phase.kind, index);
      send(
        slot,
        ({ index: elder, name }) =>
          (collector !== null && hasShareOf(collector, elder)) ||
          (onlyVoters && !hasVotedOtherwise(state, index, toHex(name))),
        (section) => {
          const common = { request, section, slot, transaction } as const;
          const message =
            phase.kind === 'preparing'
              ? ({ kind: 'prepare', ...common, ballot, sources, recovery: null } as const)
              : ({ kind: 'commit', ...common, prepared: phase.prepared } as const);
          return { kind: 'slot', slot, message };
        },
      );
    }
  } else if (phase.kind === 'registering') {
    for (const [index, { oneTimeKey: key }] of plan.transaction.outputs.entries()) {
      const acks = phase.acks[index];
      if (acks === undefined || acks.size >= SHARES_REQUIRED) continue;
      const request = requestAt(plan, phase.kind, index);
      const entry = { transaction, certificates: phase.certificates, index };
      send(
        outputName(key),
        ({ name }) => acks.has(toHex(name)),
        (section) => {
          const message = { kind: 'register', request, section, key, ...entry } as const;
          return { kind: 'output', key, message };
        },
      );
    }
  }
  return effects;
}

export const repeatLater = (config: PaymentConfig, { round }: PaymentState): Effect<Payment> => ({
  kind: 'setTimer',
  timer: 'repeat',
  afterMs: config.repeatEveryMs * 2 ** Math.min(round, maxDoublings),
});

function requestAt(plan: PaymentState['plan'], phase: AskingPhase, index: number): Uint8Array {
  const id = plan.requests[phase][index];
  assert(id !== undefined, 'every slot and output has a request id');
  return id;
}
