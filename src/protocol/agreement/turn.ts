/** What an elder says next: one event may carry it over several steps, so they share a turn. */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import type {
  AgreementMessage,
  Certificate,
  Decision,
  SignedReport,
  SignedVote,
  StatementPhase,
} from './messages.ts';
import { decidedStrongs, leadOf, type AgreementRules } from './rules.ts';
import type { Agreement, AgreementConfig, AgreementState, OpenState, Said } from './state.ts';
import {
  equalValues,
  reportBody,
  reportsDigest,
  statementBytes,
  strongBody,
  toValue,
  voteBody,
} from './statements.ts';

/** One event's work: the state so far and what it made this elder do. */
export interface Turn {
  readonly config: AgreementConfig;
  readonly rules: AgreementRules;
  readonly quorum: number;
  readonly self: number;
  state: OpenState;
  /** Set when the generation is decided; the turn ends there. */
  decided: AgreementState | null;
  readonly effects: Effect<Agreement>[];
}

export function beginTurn(config: AgreementConfig, rules: AgreementRules, state: OpenState): Turn {
  const self = config.elders.findIndex((name) => equalBytes(name, config.self));
  assert(self >= 0, 'the engine runs at an elder');
  const quorum = rules.quorum(config.elders.length);
  return { config, rules, quorum, self, state, decided: null, effects: [] };
}

export const endTurn = (
  turn: Turn,
): { readonly state: AgreementState; readonly effects: readonly Effect<Agreement>[] } => ({
  state: turn.decided ?? turn.state,
  effects: turn.effects,
});

/** Waits longer in later rounds, so that one of them is longer than the slowest message. */
const maxDoublings = 6;
export const waitOf = (config: AgreementConfig, doublings: number): number =>
  config.paceMs * 2 ** Math.min(doublings, maxDoublings);

/** Does everything the state allows, until nothing more follows. */
export function advance(turn: Turn): void {
  while (turn.decided === null && stepOnce(turn));
  if (turn.decided === null) armTimers(turn);
}

/** N1–N3 in order of finality. @returns whether something changed. */
function stepOnce(turn: Turn): boolean {
  const { config, rules, quorum } = turn;
  if (tryDecide(turn)) return true;
  const proven = rules.provenRound(turn.state, config.elders.length, quorum);
  if (proven > turn.state.round) return enter(turn, proven);
  if (tryVote(turn)) return true;
  if (tryStrong(turn)) return true;
  // A certificate of this round can still be decided; only the tick gives it up.
  const locked = turn.state.highest?.round === turn.state.round;
  if (!locked && rules.isSplit(turn.state, config.elders.length, quorum)) return leave(turn);
  return false;
}

function tryDecide(turn: Turn): boolean {
  const strongs = decidedStrongs(turn.state.strongs, turn.quorum);
  const [first] = strongs ?? [];
  if (strongs === undefined || first === undefined) return false;
  const { round, value } = first.certificate;
  const proposals = value.flatMap((hash) => {
    const held = turn.state.proposals.get(toHex(hash));
    return held !== undefined && 'bytes' in held ? [held.bytes] : [];
  });
  if (proposals.length !== value.length) return false;
  const signatures = strongs.map(({ voter, signature }) => ({ voter, signature }));
  decide(turn, { proposals, certificate: { round, strongs: signatures } }, null);
  return true;
}

/** Final. N11: who decided tells it to all, again and again, until the generation is sealed. */
export function decide(turn: Turn, decision: Decision, from: NodeId | null): void {
  const { config, effects } = turn;
  const informed = new Set(from === null ? [] : [from]);
  turn.decided = { kind: 'decided', decision, informed, repeats: 0 };
  effects.push({ kind: 'persist', fact: { kind: 'decided', decision } });
  for (const timer of ['pace', 'lead'] as const) effects.push({ kind: 'clearTimer', timer });
  effects.push({ kind: 'output', output: { kind: 'decided', ...decision } });
  if (config.silent) return;
  const { generation } = config;
  effects.push(
    { kind: 'send', to: others(config), message: { kind: 'decision', generation, decision } },
    { kind: 'setTimer', timer: 'repeat', afterMs: waitOf(config, 0) },
  );
}

/** N1: one vote per round. */
function tryVote(turn: Turn): boolean {
  const { rules, state } = turn;
  if (!rules.mayVote(state)) return false;
  if (state.round === 0) {
    if (state.seen.length === 0) return false;
    // Its own proposals, or somebody's that it adopts: whoever has seen one votes.
    return vote(turn, []);
  }
  const reports = chooseReports(turn);
  return reports !== undefined && vote(turn, reports);
}

/**
 * N2 allows any five reports. So that all name the same ones, the others wait a while for the
 * vote of the round's lead; then they name what most of the votes they hold name, or their own.
 */
function chooseReports(turn: Turn): readonly SignedReport[] | undefined {
  const { config, state } = turn;
  const lead = leadOf(state.round, config.generation, config.elders.length);
  const followed = state.votes.get(lead);
  if (followed !== undefined) return followed.reports;
  if (turn.self !== lead && state.lead !== 'over') return undefined;
  return common(state) ?? ownReports(turn);
}

/** Reports of this round, if there are enough to vote. */
function ownReports({ state, quorum }: Turn): readonly SignedReport[] | undefined {
  const reports = [...state.reports.values()]
    .filter(({ round }) => round === state.round)
    .sort((a, b) => a.voter - b.voter);
  return reports.length >= quorum ? reports : undefined;
}

/** The reports behind the value with most votes. */
function common(state: OpenState): readonly SignedReport[] | undefined {
  let best: { readonly vote: SignedVote; readonly count: number } | undefined;
  const votes = [...state.votes.values()];
  for (const vote of votes) {
    const count = votes.filter(({ value }) => equalValues(value, vote.value)).length;
    if (best === undefined || count > best.count) best = { vote, count };
  }
  return best?.vote.reports;
}

function vote(turn: Turn, reports: readonly SignedReport[]): boolean {
  const { config, rules, state } = turn;
  const { round } = state;
  const value = round === 0 ? toValue(state.seen) : rules.valueOf(reports);
  const body = voteBody(value, reportsDigest(reports));
  const signature = sign(turn, round, 'vote', body);
  const own: SignedVote = { voter: turn.self, round, value, reports, signature };
  const proposals = round > 0 ? [] : bytesOf(state, value, state.offered);
  const { generation } = config;
  const message = { kind: 'vote', generation, vote: own, proposals } as const;
  turn.state = { ...state, votes: new Map(state.votes).set(turn.self, own) };
  say(turn, message, { ...turn.state.said, vote: message }, value);
  return true;
}

/** N1: on five equal votes, whatever this elder voted itself. */
function tryStrong(turn: Turn): boolean {
  const { config, rules, quorum } = turn;
  if (turn.state.highest?.round !== turn.state.round) {
    const made = rules.certificateOf(turn.state, quorum);
    if (made !== undefined) turn.state = { ...turn.state, highest: higher(turn.state, made) };
  }
  const certificate = turn.state.highest;
  if (certificate === null || !rules.mayBeStrong(turn.state, certificate)) return false;
  const { round, value } = certificate;
  const signature = sign(turn, round, 'strong', strongBody(value));
  const strong = { voter: turn.self, certificate, signature };
  const { generation } = config;
  const message = { kind: 'strong', generation, strong } as const;
  const { state } = turn;
  turn.state = { ...state, strongs: new Map(state.strongs).set(turn.self, strong) };
  say(turn, message, { ...turn.state.said, strong: message }, value);
  return true;
}

/** N3: to the next round. Those who stay behind need this elder's vote, so it votes first. */
export function leave(turn: Turn): boolean {
  if (turn.state.round > 0 && turn.rules.mayVote(turn.state)) {
    const reports = common(turn.state);
    if (reports !== undefined) vote(turn, reports);
  }
  return enter(turn, turn.state.round + 1);
}

/** N2: a report is a promise to say nothing below its round, with the lock and all that was seen. */
export function enter(turn: Turn, round: number): boolean {
  const { rules } = turn;
  const proposals = toValue(turn.state.seen);
  if (proposals.length === 0) return false; // Only a seal or a decision can help it now.
  const highest = rules.lockOf(turn.state);
  const signature = sign(turn, round, 'report', reportBody(highest, proposals));
  const report: SignedReport = { voter: turn.self, round, highest, proposals, signature };
  turn.state = {
    ...turn.state,
    round,
    votes: new Map(),
    reports: new Map(turn.state.reports).set(turn.self, report),
    pacing: false,
    lead: 'unset',
  };
  turn.effects.push({ kind: 'clearTimer', timer: 'pace' }, { kind: 'clearTimer', timer: 'lead' });
  const message = reportsMessage(turn.config, turn.state, report);
  const cited = [...proposals, ...(highest?.value ?? [])];
  say(turn, message, { ...turn.state.said, report }, cited);
  return true;
}

/**
 * One's own report with those that prove the round was entered rightly: whoever is behind and
 * was not shown a liar's report can follow.
 */
export function reportsMessage(
  { generation }: AgreementConfig,
  state: OpenState,
  own: SignedReport,
): AgreementMessage & { readonly kind: 'reports' } {
  const same = [...state.reports.values()].filter(
    ({ round, voter }) => round === own.round && voter !== own.voter,
  );
  return { kind: 'reports', generation, reports: [own, ...same] };
}

/** N10: one fact with the bytes, the round, the lock and what must be served; then it is sent. */
function say(
  turn: Turn,
  message: AgreementMessage,
  said: Said,
  cited: readonly Uint8Array[],
): void {
  const { config, state, effects } = turn;
  const fresh = new Set(cited.map(toHex).filter((id) => !state.stored.has(id)));
  const proposals = bytesOf(state, cited, fresh);
  const { round, highest } = state;
  effects.push(
    { kind: 'persist', fact: { kind: 'said', round, message, highest, proposals } },
    { kind: 'send', to: others(config), message },
  );
  turn.state = { ...state, said, stored: new Set([...state.stored, ...fresh]) };
  startRepeating(turn);
}

export function startRepeating(turn: Turn): void {
  if (turn.state.repeats !== null || turn.config.silent) return;
  turn.state = { ...turn.state, repeats: 0 };
  turn.effects.push({ kind: 'setTimer', timer: 'repeat', afterMs: waitOf(turn.config, 0) });
}

function armTimers(turn: Turn): void {
  const { config, rules, quorum, state } = turn;
  const afterMs = waitOf(config, state.round);
  const mayLead = state.votes.size > 0 || ownReports(turn) !== undefined;
  if (state.round > 0 && state.lead === 'unset' && rules.mayVote(state) && mayLead) {
    turn.state = { ...turn.state, lead: 'waiting' };
    turn.effects.push({ kind: 'setTimer', timer: 'lead', afterMs });
  }
  if (!state.pacing && rules.mayPace(state, quorum)) {
    turn.state = { ...turn.state, pacing: true };
    turn.effects.push({ kind: 'setTimer', timer: 'pace', afterMs });
  }
}

export const higher = (state: OpenState, certificate: Certificate): Certificate =>
  state.highest === null || certificate.round > state.highest.round ? certificate : state.highest;

export const others = (config: AgreementConfig): readonly NodeId[] =>
  config.elders.filter((name) => !equalBytes(name, config.self)).map(nameToId);

const bytesOf = (
  state: OpenState,
  hashes: readonly Uint8Array[],
  among: ReadonlySet<string>,
): readonly Uint8Array[] =>
  [...new Set(hashes.map(toHex))].flatMap((id) => {
    const held = state.proposals.get(id);
    return among.has(id) && held !== undefined && 'bytes' in held ? [held.bytes] : [];
  });

function sign(turn: Turn, round: number, phase: StatementPhase, body: Uint8Array): Uint8Array {
  const { config } = turn;
  const bytes = statementBytes(config, round, phase, config.self, body);
  return config.identity.sign(config.identitySeed, bytes);
}
