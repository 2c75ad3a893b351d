/** Decides when an output is registered, and what to do with the other answers of the mint. */
import { assertNever } from '#core/assert.ts';
import type { NodeId } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import { outputName, verifyAck, type MintAnswer } from '#protocol/mint/index.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import { blameBadEvidence, startCheck } from './conflicts.ts';
import { elderAt, indexOfRequest, type PaymentStep } from './payment-step.ts';
import { paymentSectionAt } from './request-plan.ts';
import type { PaymentConfig, PaymentState } from './state.ts';
import { onKeyHint, onRefusal, reportOutdated } from './waiting.ts';

export function onOutputAnswer(
  config: PaymentConfig,
  state: PaymentState,
  from: NodeId,
  answer: MintAnswer,
): PaymentStep {
  const { phase, plan, sections } = state;
  if (phase.kind !== 'registering') return unchanged(state);
  const index = indexOfRequest(plan, phase.kind, answer.request);
  const key = plan.transaction.outputs[index]?.oneTimeKey;
  if (key === undefined) return unchanged(state);
  const address = outputName(key);
  const section = paymentSectionAt(sections, address);
  const elder = elderAt(state, address, from);
  if (elder === undefined || section === undefined) return unchanged(state);
  switch (answer.kind) {
    case 'registered': {
      const acked = { key, txid: plan.txid };
      const signer = { ...section, networkId: sections.networkId };
      return verifyAck(signer, config.identity, elder.name, acked, answer.signature)
        ? onAck(state, phase, index, from)
        : blameBadEvidence(state, from, answer);
    }
    case 'duplicate': {
      const { entry } = answer;
      const job = { kind: 'checkDuplicate', sections, oneTimeKey: key, entry } as const;
      return startCheck(state, index, from, job, answer);
    }
    case 'invalid':
      return onRefusal(state, from, answer.what);
    case 'sealed':
    case 'wrongKey':
      return onKeyHint(state, address, from, answer);
    case 'unproven':
      return reportOutdated(state, answer.slot, from);
    case 'busy':
      return unchanged(state);
    default:
      return assertNever(answer);
  }
}

/** PAYMENT-P6: five acknowledgements register an output. */
function onAck(
  state: PaymentState,
  phase: PaymentState['phase'] & { readonly kind: 'registering' },
  index: number,
  from: NodeId,
): PaymentStep {
  const acks = phase.acks.map((each, i) => (i === index ? new Set(each).add(from) : each));
  if (!acks.every((each) => each.size >= SHARES_REQUIRED)) {
    return unchanged({ ...state, phase: { ...phase, acks } });
  }
  const { certificates } = phase;
  return {
    state: { ...state, phase: { kind: 'registered', certificates } },
    effects: [
      { kind: 'persist', fact: { kind: 'registered' } },
      { kind: 'output', output: { kind: 'registered', certificates } },
      { kind: 'clearTimer', timer: 'repeat' },
    ],
  };
}
