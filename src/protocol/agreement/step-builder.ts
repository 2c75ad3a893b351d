/** One event may cause several transitions; they share this step builder. */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import type { QuorumCertificate } from './messages.ts';
import type { AgreementRules } from './rules.ts';
import type { Agreement, AgreementConfig, AgreementState, OpenState } from './state.ts';

/** One event's work: the current state and the effects so far. */
export interface StepBuilder {
  readonly config: AgreementConfig;
  readonly rules: AgreementRules;
  readonly quorum: number;
  readonly self: number;
  state: OpenState;
  /** Set when the generation is decided, which ends the step. */
  decided: AgreementState | null;
  readonly effects: Effect<Agreement>[];
}

export function beginStep(
  config: AgreementConfig,
  rules: AgreementRules,
  state: OpenState,
): StepBuilder {
  const self = config.elders.findIndex((name) => equalBytes(name, config.self));
  assert(self >= 0, 'the engine runs at an elder');
  const quorum = rules.quorum(config.elders.length);
  return { config, rules, quorum, self, state, decided: null, effects: [] };
}

export const endStep = (
  step: StepBuilder,
): { readonly state: AgreementState; readonly effects: readonly Effect<Agreement>[] } => ({
  state: step.decided ?? step.state,
  effects: step.effects,
});

/** Timeouts grow with the round, so that one round outlasts the slowest message. */
const maxTimeoutDoublings = 6;
export const timeoutOf = (config: AgreementConfig, doublings: number): number =>
  config.roundTimeoutMs * 2 ** Math.min(doublings, maxTimeoutDoublings);

export function startRetransmission(step: StepBuilder): void {
  if (step.state.retransmissions !== null || step.config.abstain) return;
  step.state = { ...step.state, retransmissions: 0 };
  step.effects.push({ kind: 'setTimer', timer: 'repeat', afterMs: timeoutOf(step.config, 0) });
}

export const higherCertificate = (
  state: OpenState,
  certificate: QuorumCertificate,
): QuorumCertificate =>
  state.highest === null || certificate.round > state.highest.round ? certificate : state.highest;

export const otherElders = (config: AgreementConfig): readonly NodeId[] =>
  config.elders.filter((name) => !equalBytes(name, config.self)).map(nameToId);

export const heldBytes = (
  state: OpenState,
  hashes: readonly Uint8Array[],
  among: ReadonlySet<string>,
): readonly Uint8Array[] =>
  [...new Set(hashes.map(toHex))].flatMap((id) => {
    const held = state.proposals.get(id);
    return among.has(id) && held !== undefined && 'bytes' in held ? [held.bytes] : [];
  });
