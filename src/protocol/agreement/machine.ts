/**
 * Agreement on one generation at one elder: rounds with a lock, N1–N5 and N9–N11. Rules:
 * docs/spec/agreement.md.
 */
import { nameToId } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import {
  receiveStatement,
  requestProposals,
  blame,
  requestValidation,
  isProposalSizeValid,
  receiveProposal,
  onValidated,
  setProposalStatus,
} from './receive-statement.ts';
import { recordValidProposal } from './proposals.ts';
import type { AgreementMessage, Decision } from './messages.ts';
import { agreementRules, type AgreementRules } from './rules.ts';
import type {
  Agreement,
  AgreementConfig,
  AgreementFact,
  AgreementState,
  ProposalStatus,
  OpenState,
} from './state.ts';
import { maxProposals, proposalHash, verifyDecision } from './statements.ts';
import { decide } from './persist-before-send.ts';
import { advanceRound, leaveRound, roundChangesMessage } from './rounds.ts';
import { beginStep, endStep, otherElders, timeoutOf, type StepBuilder } from './step-builder.ts';

type Outcome = Step<AgreementState, Agreement>;
type DecidedState = AgreementState & { readonly kind: 'decided' };

/** @param rules replaceable, so that a test can show each rule is needed. */
export const createAgreement = (
  rules: AgreementRules,
): Machine<AgreementConfig, AgreementState, Agreement> => ({
  start: (config, facts) => restore(config, facts),

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received':
        if (event.message.generation !== config.generation) return unchanged(state);
        return onMessage(config, rules, state, event.from, event.message);
      case 'input':
        return onInput(config, rules, state, event.input);
      case 'computed':
        if (state.kind !== 'open') return unchanged(state);
        return runStep(config, rules, state, (step) => {
          onValidated(step, event.id, rules.verdict(event.result));
        });
      case 'timerFired':
        if (state.kind === 'open') return onTimer(config, rules, state, event.timer);
        return state.kind === 'decided' ? retransmitDecision(config, state) : unchanged(state);
      default:
        return assertNever(event);
    }
  },
});

export const agreement = createAgreement(agreementRules);

const initialState: OpenState = {
  kind: 'open',
  round: 0,
  proposals: new Map(),
  validHashes: [],
  offered: new Set(),
  stored: new Set(),
  prevotes: new Map(),
  precommits: new Map(),
  roundChanges: new Map(),
  highest: null,
  lastSent: { prevote: null, precommit: null, roundChange: null },
  pending: new Map(),
  equivocators: new Set(),
  citedInvalid: new Set(),
  roundTimerRunning: false,
  preferredVoterWait: 'unset',
  retransmissions: null,
  retries: 0,
};

/** N10: re-send the same bytes, and sign nothing else below this round. */
function restore(config: AgreementConfig, facts: readonly AgreementFact[]): Outcome {
  let state = initialState;
  for (const fact of facts) {
    if (fact.kind === 'decided') {
      const { decision } = fact;
      return {
        state: { kind: 'decided', decision, knownHolders: new Set(), retransmissions: 0 },
        effects: config.abstain ? [] : sendDecision(config, otherElders(config), decision, 0),
      };
    }
    state = restoreSigned(config, state, fact);
  }
  if (config.abstain || facts.length === 0) return unchanged(state);
  return { state: { ...state, retransmissions: 0 }, effects: retransmit(config, state, 0) };
}

function restoreSigned(
  config: AgreementConfig,
  before: OpenState,
  fact: AgreementFact & { readonly kind: 'signed' },
): OpenState {
  const { message, round, highest } = fact;
  let state: OpenState = { ...before, round, highest: highest ?? before.highest };
  if (round > before.round) state = { ...state, prevotes: new Map() };
  for (const bytes of fact.proposals) {
    const id = toHex(proposalHash(bytes));
    const held: ProposalStatus = { kind: 'valid', bytes };
    state = recordValidProposal(state, bytes, config.subjectOf);
    state = {
      ...state,
      proposals: new Map(state.proposals).set(id, held),
      stored: new Set(state.stored).add(id),
    };
  }
  switch (message.kind) {
    case 'prevote': {
      const { prevote } = message;
      const prevotes = new Map(state.prevotes).set(prevote.voter, prevote);
      return { ...state, prevotes, lastSent: { ...state.lastSent, prevote: message } };
    }
    case 'precommit': {
      const { precommit } = message;
      const precommits = new Map(state.precommits).set(precommit.voter, precommit);
      return { ...state, precommits, lastSent: { ...state.lastSent, precommit: message } };
    }
    case 'roundChanges': {
      const [roundChange = null] = message.roundChanges;
      const roundChanges = new Map(state.roundChanges);
      for (const each of message.roundChanges) roundChanges.set(each.voter, each);
      return { ...state, roundChanges, lastSent: { ...state.lastSent, roundChange } };
    }
    default:
      return state; // No other message is persisted.
  }
}

function runStep(
  config: AgreementConfig,
  rules: AgreementRules,
  state: OpenState,
  work: (step: StepBuilder) => void,
): Outcome {
  const step = beginStep(config, rules, state);
  work(step);
  return endStep(step);
}

function onMessage(
  config: AgreementConfig,
  rules: AgreementRules,
  state: AgreementState,
  from: NodeId,
  message: AgreementMessage,
): Outcome {
  if (message.kind === 'decision')
    return receiveDecision(config, rules, state, from, message.decision);
  // N10: an elder that lost its state only accepts decisions.
  if (config.abstain) return unchanged(state);
  if (!config.elders.some((name) => nameToId(name) === from)) {
    return { state, effects: [{ kind: 'blame', fault: { kind: 'notElder', culprit: from } }] };
  }
  if (state.kind !== 'open') return answerLateVoter(config, state, from, message);
  return runStep(config, rules, state, (step) => {
    receiveVotingMessage(step, from, message);
  });
}

function receiveVotingMessage(
  step: StepBuilder,
  from: NodeId,
  message: Exclude<AgreementMessage, { kind: 'decision' }>,
): void {
  switch (message.kind) {
    case 'prevote': {
      const { prevote, proposals } = message;
      receiveStatement(step, from, { kind: 'prevote', prevote });
      const cited = new Set(prevote.value.map(toHex));
      for (const proposal of proposals) {
        if (!cited.has(toHex(proposalHash(proposal))))
          return blame(step, 'unreferencedProposal', from);
        receiveProposal(step, proposal);
      }
      break;
    }
    case 'precommit':
      receiveStatement(step, from, { kind: 'precommit', precommit: message.precommit });
      break;
    case 'roundChanges':
      for (const roundChange of message.roundChanges)
        receiveStatement(step, from, { kind: 'roundChange', roundChange });
      break;
    case 'requestProposals':
      return sendProposals(step, from, message.hashes);
    case 'proposals':
      for (const proposal of message.proposals) receiveProposal(step, proposal);
      return;
    default:
      assertNever(message);
  }
  if (step.decided === null) requestProposals(step, (carrier) => carrier === from);
}

function sendProposals(step: StepBuilder, to: NodeId, hashes: readonly Uint8Array[]): void {
  const proposals = hashes.flatMap((hash) => {
    const held = step.state.proposals.get(toHex(hash));
    return held !== undefined && 'bytes' in held ? [held.bytes] : [];
  });
  const { generation } = step.config;
  for (let at = 0; at < proposals.length; at += maxProposals) {
    const some = proposals.slice(at, at + maxProposals);
    const message = { kind: 'proposals', generation, proposals: some } as const;
    step.effects.push({ kind: 'send', to: [to], message });
  }
}

function receiveDecision(
  config: AgreementConfig,
  rules: AgreementRules,
  state: AgreementState,
  from: NodeId,
  decision: Decision,
): Outcome {
  if (state.kind === 'decided') {
    return unchanged({ ...state, knownHolders: new Set(state.knownHolders).add(from) });
  }
  if (state.kind === 'closed') return unchanged(state);
  if (!verifyDecision(config, decision)) {
    return {
      state,
      effects: [{ kind: 'blame', fault: { kind: 'invalidDecision', culprit: from } }],
    };
  }
  return runStep(config, rules, state, (step) => {
    decide(step, decision, from);
  });
}

/** N11: an elder that still votes in this generation receives the decision. */
function answerLateVoter(
  config: AgreementConfig,
  state: Exclude<AgreementState, OpenState>,
  from: NodeId,
  message: AgreementMessage,
): Outcome {
  if (state.decision === null || message.kind === 'proposals') return unchanged(state);
  const { generation } = config;
  const { decision } = state;
  const answer = { kind: 'decision', generation, decision } as const;
  return { state, effects: [{ kind: 'send', to: [from], message: answer }] };
}

function onInput(
  config: AgreementConfig,
  rules: AgreementRules,
  state: AgreementState,
  input: Agreement['input'],
): Outcome {
  if (input.kind === 'close') {
    if (state.kind === 'closed') return unchanged(state);
    const timers = ['roundTimeout', 'preferredVoter', 'repeat'] as const;
    return {
      state: { kind: 'closed', decision: state.kind === 'decided' ? state.decision : null },
      effects: timers.map((timer) => ({ kind: 'clearTimer', timer })),
    };
  }
  if (state.kind !== 'open' || config.abstain) return unchanged(state);
  return runStep(config, rules, state, (step) => {
    if (input.kind === 'propose') propose(step, input.proposal);
    else revalidate(step, input.only);
  });
}

/**
 * Own proposals are always accepted: the role makes few, and other voters fill only their own
 * share.
 */
function propose(step: StepBuilder, proposal: Uint8Array): void {
  if (!isProposalSizeValid(proposal)) return;
  const id = toHex(proposalHash(proposal));
  const before = step.state.proposals.get(id);
  const offered = new Set(step.state.offered).add(id);
  step.state = step.rules.dropUncited({ ...step.state, offered });
  if (before !== undefined && before.kind !== 'missing') return;
  setProposalStatus(step, id, { kind: 'checking', bytes: proposal });
  requestValidation(step, id, proposal);
}

/** @param only the proposals to validate again; without it, every `later` one. */
function revalidate(step: StepBuilder, only: readonly Uint8Array[] | undefined): void {
  step.state = { ...step.state, retries: step.state.retries + 1 };
  const ids = only && new Set(only.map((proposal) => toHex(proposalHash(proposal))));
  for (const [id, held] of step.state.proposals) {
    if (held.kind !== 'later' || ids?.has(id) === false) continue;
    setProposalStatus(step, id, { kind: 'checking', bytes: held.bytes });
    requestValidation(step, id, held.bytes);
  }
}

function onTimer(
  config: AgreementConfig,
  rules: AgreementRules,
  state: OpenState,
  timer: Agreement['timer'],
): Outcome {
  return runStep(config, rules, state, (step) => {
    switch (timer) {
      case 'roundTimeout':
        step.state = { ...state, roundTimerRunning: false };
        // N3: the timer alone is no reason to leave the round.
        if (rules.mayRunRoundTimer(state, step.quorum)) leaveRound(step);
        return advanceRound(step);
      case 'preferredVoter':
        step.state = { ...state, preferredVoterWait: 'over' };
        return advanceRound(step);
      case 'repeat': {
        const retransmissions = (state.retransmissions ?? 0) + 1;
        step.state = { ...state, retransmissions };
        step.effects.push(...retransmit(config, state, retransmissions));
        return requestProposals(step, () => true);
      }
      default:
        assertNever(timer);
    }
  });
}

/** N10: the same bytes, but more round changes of other elders may accompany the own one. */
function retransmit(
  config: AgreementConfig,
  state: OpenState,
  repeats: number,
): readonly Effect<Agreement>[] {
  const { prevote, precommit, roundChange } = state.lastSent;
  const messages: (AgreementMessage | null)[] = [
    roundChange && roundChangesMessage(config, state, roundChange),
    prevote,
    precommit,
  ];
  const to = otherElders(config);
  return [
    ...messages.flatMap((message): readonly Effect<Agreement>[] =>
      message === null ? [] : [{ kind: 'send', to, message }],
    ),
    {
      kind: 'setTimer',
      timer: 'repeat',
      afterMs: timeoutOf(config, Math.min(repeats, maxRetransmissionDoublings)),
    },
  ];
}

/** While undecided, the retransmission interval grows to eight times `roundTimeoutMs`. */
const maxRetransmissionDoublings = 3;

function retransmitDecision(config: AgreementConfig, state: DecidedState): Outcome {
  const to = otherElders(config).filter((id) => !state.knownHolders.has(id));
  if (config.abstain || to.length === 0) return unchanged(state);
  const retransmissions = state.retransmissions + 1;
  return {
    state: { ...state, retransmissions },
    effects: sendDecision(config, to, state.decision, retransmissions),
  };
}

const sendDecision = (
  config: AgreementConfig,
  to: readonly NodeId[],
  decision: Decision,
  repeats: number,
): readonly Effect<Agreement>[] => [
  { kind: 'send', to, message: { kind: 'decision', generation: config.generation, decision } },
  { kind: 'setTimer', timer: 'repeat', afterMs: timeoutOf(config, repeats) },
];
