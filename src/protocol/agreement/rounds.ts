/** Decides when an elder leaves a round, and which (N2, N3); otherwise what it signs in this one. */
import {
  castPrevote,
  mostSupportedRoundChanges,
  sufficientRoundChanges,
  tryDecide,
  tryPrecommit,
  tryPrevote,
} from './cast-votes.ts';
import type { AgreementMessage, RoundChange } from './messages.ts';
import { persistAndSend, sign } from './persist-before-send.ts';
import type { AgreementConfig, OpenState } from './state.ts';
import { roundChangeBody, toValue } from './statements.ts';
import { timeoutOf, type StepBuilder } from './step-builder.ts';

/** Applies all enabled transitions until none is left. */
export function advanceRound(step: StepBuilder): void {
  while (step.decided === null && advanceOnce(step));
  if (step.decided === null) startTimers(step);
}

/** N1–N3 in order of finality. @returns whether something changed. */
function advanceOnce(step: StepBuilder): boolean {
  const { config, rules, quorum } = step;
  if (tryDecide(step)) return true;
  const proven = rules.provenRound(step.state, config.elders.length, quorum);
  if (proven > step.state.round) return enterRound(step, proven);
  if (tryPrevote(step)) return true;
  if (tryPrecommit(step)) return true;
  // A certificate of this round can still be decided; only the round timer abandons it.
  const locked = step.state.highest?.round === step.state.round;
  if (!locked && rules.isSplit(step.state, config.elders.length, quorum)) return leaveRound(step);
  return false;
}

/** N3: enters the next round. Elders that stay need this elder's prevote, so it prevotes first. */
export function leaveRound(step: StepBuilder): boolean {
  if (step.state.round > 0 && step.rules.mayPrevote(step.state)) {
    const roundChanges = mostSupportedRoundChanges(step.state);
    if (roundChanges !== undefined) castPrevote(step, roundChanges);
  }
  return enterRound(step, step.state.round + 1);
}

/** N2: after its round change an elder signs nothing below that round. */
export function enterRound(step: StepBuilder, round: number): boolean {
  const { rules } = step;
  const proposals = toValue(step.state.validHashes);
  if (proposals.length === 0) return false; // Only a seal or a decision can help now.
  const highest = rules.lockOf(step.state);
  const signature = sign(step, round, 'roundChange', roundChangeBody(highest, proposals));
  const roundChange: RoundChange = { voter: step.self, round, highest, proposals, signature };
  step.state = {
    ...step.state,
    round,
    prevotes: new Map(),
    roundChanges: new Map(step.state.roundChanges).set(step.self, roundChange),
    roundTimerRunning: false,
    preferredVoterWait: 'unset',
  };
  step.effects.push(
    { kind: 'clearTimer', timer: 'roundTimeout' },
    { kind: 'clearTimer', timer: 'preferredVoter' },
  );
  const message = roundChangesMessage(step.config, step.state, roundChange);
  const cited = [...proposals, ...(highest?.value ?? [])];
  persistAndSend(step, message, { ...step.state.lastSent, roundChange }, cited);
  return true;
}

/**
 * The elder's own round change with those that prove its round, so that an elder that did not
 * receive a faulty elder's round change can follow.
 */
export function roundChangesMessage(
  { generation }: AgreementConfig,
  state: OpenState,
  own: RoundChange,
): AgreementMessage & { readonly kind: 'roundChanges' } {
  const same = [...state.roundChanges.values()].filter(
    ({ round, voter }) => round === own.round && voter !== own.voter,
  );
  return { kind: 'roundChanges', generation, roundChanges: [own, ...same] };
}

function startTimers(step: StepBuilder): void {
  const { config, rules, quorum, state } = step;
  const afterMs = timeoutOf(config, state.round);
  const mayStartWait = state.prevotes.size > 0 || sufficientRoundChanges(step) !== undefined;
  if (
    state.round > 0 &&
    state.preferredVoterWait === 'unset' &&
    rules.mayPrevote(state) &&
    mayStartWait
  ) {
    step.state = { ...step.state, preferredVoterWait: 'waiting' };
    step.effects.push({ kind: 'setTimer', timer: 'preferredVoter', afterMs });
  }
  if (!state.roundTimerRunning && rules.mayRunRoundTimer(state, quorum)) {
    step.state = { ...step.state, roundTimerRunning: true };
    step.effects.push({ kind: 'setTimer', timer: 'roundTimeout', afterMs });
  }
}
