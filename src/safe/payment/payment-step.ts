/** The steps of a payment, and the look-ups that its parts share. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId, Step } from '#core/machine.ts';
import { stepTo } from '#core/step.ts';
import { paymentSectionAt } from './request-plan.ts';
import type { AskingPhase, Payment, PaymentElder, PaymentState, RequestPlan } from './state.ts';

export type PaymentStep = Step<PaymentState, Payment>;

export const paymentStep: (
  state: PaymentState,
  ...effects: readonly Effect<Payment>[]
) => PaymentStep = stepTo;

/** The slot, output or missing proof that this answer is about; -1 for an answer of an earlier phase. */
export const indexOfRequest = (
  { requests }: RequestPlan,
  phase: AskingPhase,
  request: Uint8Array,
): number => requests[phase].findIndex((id) => equalBytes(id, request));

/** The elder of the section responsible for this address, if the answer came from one. */
export const elderAt = (
  state: PaymentState,
  address: Uint8Array,
  from: NodeId,
): PaymentElder | undefined =>
  paymentSectionAt(state.sections, address)?.elders.find(({ name }) => toHex(name) === from);
