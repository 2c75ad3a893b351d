/** One generation at one elder: rounds with a lock, N1–N5 and N9–N11. Rules in README.md. */
import { nameToId } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { admit, ask, blame, check, fits, hold, judged, setHeld } from './admit.ts';
import { sawValid } from './held.ts';
import type { AgreementMessage, Decision } from './messages.ts';
import { agreementRules, type AgreementRules } from './rules.ts';
import type {
  Agreement,
  AgreementConfig,
  AgreementFact,
  AgreementState,
  HeldProposal,
  OpenState,
} from './state.ts';
import { maxProposals, proposalHash, verifyDecision } from './statements.ts';
import {
  advance,
  beginTurn,
  decide,
  endTurn,
  leave,
  others,
  reportsMessage,
  waitOf,
  type Turn,
} from './turn.ts';

type Outcome = Step<AgreementState, Agreement>;
type DecidedState = AgreementState & { readonly kind: 'decided' };

/** @param rules what a test may replace to see that the rule is needed. */
export const createAgreement = (
  rules: AgreementRules,
): Machine<AgreementConfig, AgreementState, Agreement> => ({
  start: (config, facts) => recover(config, facts),

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received':
        if (event.message.generation !== config.generation) return stay(state);
        return received(config, rules, state, event.from, event.message);
      case 'input':
        return told(config, rules, state, event.input);
      case 'computed':
        if (state.kind !== 'open') return stay(state);
        return within(config, rules, state, (turn) => {
          judged(turn, event.id, rules.verdict(event.result));
        });
      case 'timerFired':
        if (state.kind === 'open') return ticked(config, rules, state, event.timer);
        return state.kind === 'decided' ? tellAgain(config, state) : stay(state);
      default:
        return assertNever(event);
    }
  },
});

export const agreement = createAgreement(agreementRules);

const empty: OpenState = {
  kind: 'open',
  round: 0,
  proposals: new Map(),
  seen: [],
  offered: new Set(),
  stored: new Set(),
  votes: new Map(),
  strongs: new Map(),
  reports: new Map(),
  highest: null,
  said: { vote: null, strong: null, report: null },
  waiting: new Map(),
  convicted: new Set(),
  distrusted: new Set(),
  pacing: false,
  lead: 'unset',
  repeats: null,
  retries: 0,
};

/** N10: what was said is said again in the same bytes, and nothing else below its round. */
function recover(config: AgreementConfig, facts: readonly AgreementFact[]): Outcome {
  let state = empty;
  for (const fact of facts) {
    if (fact.kind === 'decided') {
      const { decision } = fact;
      return {
        state: { kind: 'decided', decision, informed: new Set(), repeats: 0 },
        effects: config.silent ? [] : tell(config, others(config), decision, 0),
      };
    }
    state = remember(config, state, fact);
  }
  if (config.silent || facts.length === 0) return stay(state);
  return { state: { ...state, repeats: 0 }, effects: sayAgain(config, state, 0) };
}

function remember(
  config: AgreementConfig,
  before: OpenState,
  fact: AgreementFact & { readonly kind: 'said' },
): OpenState {
  const { message, round, highest } = fact;
  let state: OpenState = { ...before, round, highest: highest ?? before.highest };
  if (round > before.round) state = { ...state, votes: new Map() };
  for (const bytes of fact.proposals) {
    const id = toHex(proposalHash(bytes));
    const held: HeldProposal = { kind: 'valid', bytes };
    state = sawValid(state, bytes, config.subjectOf);
    state = {
      ...state,
      proposals: new Map(state.proposals).set(id, held),
      stored: new Set(state.stored).add(id),
    };
  }
  switch (message.kind) {
    case 'vote': {
      const { vote } = message;
      const votes = new Map(state.votes).set(vote.voter, vote);
      return { ...state, votes, said: { ...state.said, vote: message } };
    }
    case 'strong': {
      const { strong } = message;
      const strongs = new Map(state.strongs).set(strong.voter, strong);
      return { ...state, strongs, said: { ...state.said, strong: message } };
    }
    case 'reports': {
      const [report = null] = message.reports;
      const reports = new Map(state.reports);
      for (const each of message.reports) reports.set(each.voter, each);
      return { ...state, reports, said: { ...state.said, report } };
    }
    default:
      return state; // Nothing else is ever said.
  }
}

function within(
  config: AgreementConfig,
  rules: AgreementRules,
  state: OpenState,
  work: (turn: Turn) => void,
): Outcome {
  const turn = beginTurn(config, rules, state);
  work(turn);
  return endTurn(turn);
}

function received(
  config: AgreementConfig,
  rules: AgreementRules,
  state: AgreementState,
  from: NodeId,
  message: AgreementMessage,
): Outcome {
  if (message.kind === 'decision')
    return heardDecision(config, rules, state, from, message.decision);
  // N10: whoever forgot what it said only listens for the end.
  if (config.silent) return stay(state);
  if (!config.elders.some((name) => nameToId(name) === from)) {
    return { state, effects: [{ kind: 'blame', fault: { kind: 'notElder', culprit: from } }] };
  }
  if (state.kind !== 'open') return answerLate(config, state, from, message);
  return within(config, rules, state, (turn) => {
    heard(turn, from, message);
  });
}

function heard(
  turn: Turn,
  from: NodeId,
  message: Exclude<AgreementMessage, { kind: 'decision' }>,
): void {
  switch (message.kind) {
    case 'vote': {
      const { vote, proposals } = message;
      admit(turn, from, { kind: 'vote', vote });
      const cited = new Set(vote.value.map(toHex));
      for (const proposal of proposals) {
        if (!cited.has(toHex(proposalHash(proposal)))) return blame(turn, 'uncitedProposal', from);
        hold(turn, proposal);
      }
      break;
    }
    case 'strong':
      admit(turn, from, { kind: 'strong', strong: message.strong });
      break;
    case 'reports':
      for (const report of message.reports) admit(turn, from, { kind: 'report', report });
      break;
    case 'ask':
      return serve(turn, from, message.hashes);
    case 'proposals':
      for (const proposal of message.proposals) hold(turn, proposal);
      return;
    default:
      assertNever(message);
  }
  if (turn.decided === null) ask(turn, (carrier) => carrier === from);
}

function serve(turn: Turn, to: NodeId, hashes: readonly Uint8Array[]): void {
  const proposals = hashes.flatMap((hash) => {
    const held = turn.state.proposals.get(toHex(hash));
    return held !== undefined && 'bytes' in held ? [held.bytes] : [];
  });
  const { generation } = turn.config;
  for (let at = 0; at < proposals.length; at += maxProposals) {
    const some = proposals.slice(at, at + maxProposals);
    const message = { kind: 'proposals', generation, proposals: some } as const;
    turn.effects.push({ kind: 'send', to: [to], message });
  }
}

function heardDecision(
  config: AgreementConfig,
  rules: AgreementRules,
  state: AgreementState,
  from: NodeId,
  decision: Decision,
): Outcome {
  if (state.kind === 'decided') {
    return stay({ ...state, informed: new Set(state.informed).add(from) });
  }
  if (state.kind === 'closed') return stay(state);
  if (!verifyDecision(config, decision)) {
    return {
      state,
      effects: [{ kind: 'blame', fault: { kind: 'invalidDecision', culprit: from } }],
    };
  }
  return within(config, rules, state, (turn) => {
    decide(turn, decision, from);
  });
}

/** N11: whoever still votes in this generation gets its end. */
function answerLate(
  config: AgreementConfig,
  state: Exclude<AgreementState, OpenState>,
  from: NodeId,
  message: AgreementMessage,
): Outcome {
  if (state.decision === null || message.kind === 'proposals') return stay(state);
  const { generation } = config;
  const { decision } = state;
  const answer = { kind: 'decision', generation, decision } as const;
  return { state, effects: [{ kind: 'send', to: [from], message: answer }] };
}

function told(
  config: AgreementConfig,
  rules: AgreementRules,
  state: AgreementState,
  input: Agreement['input'],
): Outcome {
  if (input.kind === 'close') {
    if (state.kind === 'closed') return stay(state);
    const timers = ['pace', 'lead', 'repeat'] as const;
    return {
      state: { kind: 'closed', decision: state.kind === 'decided' ? state.decision : null },
      effects: timers.map((timer) => ({ kind: 'clearTimer', timer })),
    };
  }
  if (state.kind !== 'open' || config.silent) return stay(state);
  return within(config, rules, state, (turn) => {
    if (input.kind === 'propose') offer(turn, input.proposal);
    else retry(turn, input.only);
  });
}

/** Its own offers always find room: the role makes few, and others fill their own share only. */
function offer(turn: Turn, proposal: Uint8Array): void {
  if (!fits(proposal)) return;
  const id = toHex(proposalHash(proposal));
  const before = turn.state.proposals.get(id);
  const offered = new Set(turn.state.offered).add(id);
  turn.state = turn.rules.forget({ ...turn.state, offered });
  if (before !== undefined && before.kind !== 'missing') return;
  setHeld(turn, id, { kind: 'checking', bytes: proposal });
  check(turn, id, proposal);
}

/** @param only what may be judged differently now; without it all that waits is judged again. */
function retry(turn: Turn, only: readonly Uint8Array[] | undefined): void {
  turn.state = { ...turn.state, retries: turn.state.retries + 1 };
  const ids = only && new Set(only.map((proposal) => toHex(proposalHash(proposal))));
  for (const [id, held] of turn.state.proposals) {
    if (held.kind !== 'later' || ids?.has(id) === false) continue;
    setHeld(turn, id, { kind: 'checking', bytes: held.bytes });
    check(turn, id, held.bytes);
  }
}

function ticked(
  config: AgreementConfig,
  rules: AgreementRules,
  state: OpenState,
  timer: Agreement['timer'],
): Outcome {
  return within(config, rules, state, (turn) => {
    switch (timer) {
      case 'pace':
        turn.state = { ...state, pacing: false };
        // N3: never from a tick alone.
        if (rules.mayPace(state, turn.quorum)) leave(turn);
        return advance(turn);
      case 'lead':
        turn.state = { ...state, lead: 'over' };
        return advance(turn);
      case 'repeat': {
        const repeats = (state.repeats ?? 0) + 1;
        turn.state = { ...state, repeats };
        turn.effects.push(...sayAgain(config, state, repeats));
        return ask(turn, () => true);
      }
      default:
        assertNever(timer);
    }
  });
}

/** N10: the same bytes; the reports beside one's own may have become more. */
function sayAgain(
  config: AgreementConfig,
  state: OpenState,
  repeats: number,
): readonly Effect<Agreement>[] {
  const { vote, strong, report } = state.said;
  const messages: (AgreementMessage | null)[] = [
    report && reportsMessage(config, state, report),
    vote,
    strong,
  ];
  const to = others(config);
  return [
    ...messages.flatMap((message): readonly Effect<Agreement>[] =>
      message === null ? [] : [{ kind: 'send', to, message }],
    ),
    { kind: 'setTimer', timer: 'repeat', afterMs: waitOf(config, Math.min(repeats, maxSlower)) },
  ];
}

/** While undecided, repetition slows down to eight times the pace and no further. */
const maxSlower = 3;

function tellAgain(config: AgreementConfig, state: DecidedState): Outcome {
  const to = others(config).filter((id) => !state.informed.has(id));
  if (config.silent || to.length === 0) return stay(state);
  const repeats = state.repeats + 1;
  return { state: { ...state, repeats }, effects: tell(config, to, state.decision, repeats) };
}

const tell = (
  config: AgreementConfig,
  to: readonly NodeId[],
  decision: Decision,
  repeats: number,
): readonly Effect<Agreement>[] => [
  { kind: 'send', to, message: { kind: 'decision', generation: config.generation, decision } },
  { kind: 'setTimer', timer: 'repeat', afterMs: waitOf(config, repeats) },
];
