/** Decides what an elder signs within a round, and when the generation is decided (N1, N2). */
import { toHex } from '#core/codec/bytes.ts';
import type { Prevote, RoundChange } from './messages.ts';
import { decide, persistAndSend, sign } from './persist-before-send.ts';
import { decidingPrecommits, preferredVoterOf } from './rules.ts';
import type { OpenState } from './state.ts';
import {
  equalValues,
  precommitBody,
  prevoteBody,
  roundChangesDigest,
  toValue,
} from './statements.ts';
import { heldBytes, higherCertificate, type StepBuilder } from './step-builder.ts';

export function tryDecide(step: StepBuilder): boolean {
  const precommits = decidingPrecommits(step.state.precommits, step.quorum);
  const [first] = precommits ?? [];
  if (precommits === undefined || first === undefined) return false;
  const { round, value } = first.certificate;
  const proposals = value.flatMap((hash) => {
    const held = step.state.proposals.get(toHex(hash));
    return held !== undefined && 'bytes' in held ? [held.bytes] : [];
  });
  if (proposals.length !== value.length) return false;
  const signatures = precommits.map(({ voter, signature }) => ({ voter, signature }));
  decide(step, { proposals, certificate: { round, precommits: signatures } }, null);
  return true;
}

/** N1: one prevote per round. */
export function tryPrevote(step: StepBuilder): boolean {
  const { rules, state } = step;
  if (!rules.mayPrevote(state)) return false;
  if (state.round === 0) {
    if (state.validHashes.length === 0) return false;
    // Prevote as soon as one valid proposal is known, own or not.
    return castPrevote(step, []);
  }
  const roundChanges = chooseRoundChanges(step);
  return roundChanges !== undefined && castPrevote(step, roundChanges);
}

/**
 * N2 allows any five round changes. So that all name the same ones, elders first wait for the
 * preferred voter's prevote. When the wait is over they name those of the most supported prevote
 * held, or their own.
 */
function chooseRoundChanges(step: StepBuilder): readonly RoundChange[] | undefined {
  const { config, state } = step;
  const preferred = preferredVoterOf(state.round, config.generation, config.elders.length);
  const followed = state.prevotes.get(preferred);
  if (followed !== undefined) return followed.roundChanges;
  if (step.self !== preferred && state.preferredVoterWait !== 'over') return undefined;
  return mostSupportedRoundChanges(state) ?? sufficientRoundChanges(step);
}

/** The round changes of this round, if there are enough for a prevote. */
export function sufficientRoundChanges({
  state,
  quorum,
}: StepBuilder): readonly RoundChange[] | undefined {
  const roundChanges = [...state.roundChanges.values()]
    .filter(({ round }) => round === state.round)
    .sort((a, b) => a.voter - b.voter);
  return roundChanges.length >= quorum ? roundChanges : undefined;
}

/** The round changes named for the value with the most prevotes. */
export function mostSupportedRoundChanges(state: OpenState): readonly RoundChange[] | undefined {
  let best: { readonly prevote: Prevote; readonly count: number } | undefined;
  const prevotes = [...state.prevotes.values()];
  for (const prevote of prevotes) {
    const count = prevotes.filter(({ value }) => equalValues(value, prevote.value)).length;
    if (best === undefined || count > best.count) best = { prevote, count };
  }
  return best?.prevote.roundChanges;
}

export function castPrevote(step: StepBuilder, roundChanges: readonly RoundChange[]): boolean {
  const { config, rules, state } = step;
  const { round } = state;
  const value = round === 0 ? toValue(state.validHashes) : rules.valueOf(roundChanges);
  const body = prevoteBody(value, roundChangesDigest(roundChanges));
  const signature = sign(step, round, 'prevote', body);
  const own: Prevote = { voter: step.self, round, value, roundChanges, signature };
  const proposals = round > 0 ? [] : heldBytes(state, value, state.offered);
  const { generation } = config;
  const message = { kind: 'prevote', generation, prevote: own, proposals } as const;
  step.state = { ...state, prevotes: new Map(state.prevotes).set(step.self, own) };
  persistAndSend(step, message, { ...step.state.lastSent, prevote: message }, value);
  return true;
}

/** N1: precommits on five equal prevotes, whatever this elder's own prevote was. */
export function tryPrecommit(step: StepBuilder): boolean {
  const { config, rules, quorum } = step;
  if (step.state.highest?.round !== step.state.round) {
    const made = rules.certificateOf(step.state, quorum);
    if (made !== undefined)
      step.state = { ...step.state, highest: higherCertificate(step.state, made) };
  }
  const certificate = step.state.highest;
  if (certificate === null || !rules.mayPrecommit(step.state, certificate)) return false;
  const { round, value } = certificate;
  const signature = sign(step, round, 'precommit', precommitBody(value));
  const precommit = { voter: step.self, certificate, signature };
  const { generation } = config;
  const message = { kind: 'precommit', generation, precommit } as const;
  const { state } = step;
  step.state = { ...state, precommits: new Map(state.precommits).set(step.self, precommit) };
  persistAndSend(step, message, { ...step.state.lastSent, precommit: message }, value);
  return true;
}
