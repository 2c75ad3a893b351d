/** N10: what an elder signs or decides is persisted before it is sent. */
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { AgreementMessage, Decision, StatementPhase } from './messages.ts';
import type { LastSent } from './state.ts';
import { statementBytes } from './statements.ts';
import {
  heldBytes,
  otherElders,
  startRetransmission,
  timeoutOf,
  type StepBuilder,
} from './step-builder.ts';

export function sign(
  step: StepBuilder,
  round: number,
  phase: StatementPhase,
  body: Uint8Array,
): Uint8Array {
  const { config } = step;
  const bytes = statementBytes(config, round, phase, config.self, body);
  return config.identity.sign(config.identitySeed, bytes);
}

/** N10: persists one fact (bytes, round, lock, proposals to serve), then sends. */
export function persistAndSend(
  step: StepBuilder,
  message: AgreementMessage,
  lastSent: LastSent,
  cited: readonly Uint8Array[],
): void {
  const { config, state, effects } = step;
  const fresh = new Set(cited.map(toHex).filter((id) => !state.stored.has(id)));
  const proposals = heldBytes(state, cited, fresh);
  const { round, highest } = state;
  effects.push(
    { kind: 'persist', fact: { kind: 'signed', round, message, highest, proposals } },
    { kind: 'send', to: otherElders(config), message },
  );
  step.state = { ...state, lastSent, stored: new Set([...state.stored, ...fresh]) };
  startRetransmission(step);
}

/** Final. N11: re-send the decision to all until the generation is sealed. */
export function decide(step: StepBuilder, decision: Decision, from: NodeId | null): void {
  const { config, effects } = step;
  const knownHolders = new Set(from === null ? [] : [from]);
  step.decided = { kind: 'decided', decision, knownHolders, retransmissions: 0 };
  effects.push({ kind: 'persist', fact: { kind: 'decided', decision } });
  for (const timer of ['roundTimeout', 'preferredVoter'] as const)
    effects.push({ kind: 'clearTimer', timer });
  effects.push({ kind: 'output', output: { kind: 'decided', ...decision } });
  if (config.abstain) return;
  const { generation } = config;
  effects.push(
    { kind: 'send', to: otherElders(config), message: { kind: 'decision', generation, decision } },
    { kind: 'setTimer', timer: 'repeat', afterMs: timeoutOf(config, 0) },
  );
}
