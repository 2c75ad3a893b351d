/** What others say: checked once, held back until all it cites is valid (N9), then counted. */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { isBeingChecked, sawValid } from './held.ts';
import type { Certificate, SignedReport, SignedVote, Statement } from './messages.ts';
import type { AgreementFault, HeldProposal, OpenState } from './state.ts';
import {
  ascend,
  bodyOf,
  citedBy,
  equalValues,
  headOf,
  isValue,
  maxProposalBytes,
  maxProposals,
  proposalHash,
  verifyCertificate,
  verifyStatement,
} from './statements.ts';
import { advance, enter, higher, startRepeating, type Turn } from './turn.ts';

/** Hashes in one question: all that one report can cite. */
export const maxAsked = 2 * maxProposals;

/** N1, N5, N9: one statement of another elder, or of another one carried by `from`. */
export function admit(turn: Turn, from: NodeId, statement: Statement): void {
  if (turn.decided !== null) return;
  const { config, rules } = turn;
  const { voter, round } = headOf(statement);
  const name = config.elders[voter];
  if (name === undefined || voter === turn.self) return;
  if (statement.kind !== 'report' && nameToId(name) !== from) return blame(turn, 'notItsOwn', from);

  const before = knownOf(turn.state, statement);
  if (before !== undefined) {
    if (equalBytes(headOf(before).signature, headOf(statement).signature)) {
      return carriedAgain(turn, from, statement);
    }
    if (rules.convicts(before, statement)) {
      if (verifyStatement(config, statement)) convict(turn, before, statement);
      return; // N1: the first one counts.
    }
    if (headOf(before).round > round) return;
  }
  if (isStale(turn.state, statement)) return;
  const fault = misfit(turn, statement);
  if (fault !== undefined) {
    return fault === 'wrongValue'
      ? void turn.effects.push({
          kind: 'blame',
          fault: { kind: 'wrongValue', culprit: nameToId(name), statement },
        })
      : blame(turn, fault, from);
  }
  const sound = withHeldReports(turn.state, statement);
  const held = citedBy(sound).map((hash) => turn.state.proposals.get(toHex(hash)));
  if (held.every((each) => rules.isSettled(each))) {
    count(turn, sound);
    advance(turn);
    return;
  }
  if (refuseInvalid(turn, sound)) return;
  wait(turn, from, sound);
}

/** Another elder carries a statement that waits: this one may serve what the first one did not. */
function carriedAgain(turn: Turn, from: NodeId, statement: Statement): void {
  const slot = slotOf(statement);
  const waits = turn.state.waiting.get(slot);
  if (waits === undefined || waits.from === from) return;
  if (!equalBytes(headOf(waits.statement).signature, headOf(statement).signature)) return;
  const waiting = new Map(turn.state.waiting).set(slot, { ...waits, from });
  turn.state = { ...turn.state, waiting };
}

/**
 * The five votes inside a report's lock are under no signature: whoever carries the report may have
 * spoiled them. Our copy was checked, so our copy is what we name and pass on.
 */
function withHeldReports(state: OpenState, statement: Statement): Statement {
  if (statement.kind !== 'vote') return statement;
  const reports = statement.vote.reports.map((report) =>
    isHeld(state, report) ? (state.reports.get(report.voter) ?? report) : report,
  );
  return { kind: 'vote', vote: { ...statement.vote, reports } };
}

/** Bytes that somebody cited, or `offered` by this elder itself. */
export function hold(turn: Turn, proposal: Uint8Array): 'uncited' | 'held' {
  const id = toHex(proposalHash(proposal));
  const before = turn.state.proposals.get(id);
  if (before === undefined) return 'uncited';
  if (before.kind !== 'missing') return 'held';
  setHeld(turn, id, { kind: 'checking', bytes: proposal });
  check(turn, id, proposal);
  return 'held';
}

/** N7: a job decides about a proposal, once; the id says after how many retries it was asked. */
export function check(turn: Turn, id: string, proposal: Uint8Array): void {
  const job = { kind: 'validate', proposal } as const;
  turn.effects.push({ kind: 'compute', id: `${id}.${turn.state.retries}`, job });
}

export function judged(turn: Turn, jobId: string, verdict: 'valid' | 'invalid' | 'later'): void {
  const [id = '', retries] = jobId.split('.');
  const before = turn.state.proposals.get(id);
  if (before?.kind !== 'checking') return;
  const { bytes } = before;
  if (verdict === 'later' && Number(retries) < turn.state.retries) return check(turn, id, bytes);
  setHeld(turn, id, verdict === 'invalid' ? { kind: 'invalid' } : { kind: verdict, bytes });
  if (verdict === 'later') return;
  if (verdict === 'valid') turn.state = sawValid(turn.state, bytes, turn.config.subjectOf);
  release(turn);
  advance(turn);
}

/** What waited for a proposal counts now, or is refused. */
function release(turn: Turn): void {
  const { rules } = turn;
  for (const [key, { statement }] of turn.state.waiting) {
    if (turn.decided !== null) return;
    const { proposals } = turn.state;
    const settled = citedBy(statement).every((hash) => rules.isSettled(proposals.get(toHex(hash))));
    const stale = isStale(turn.state, statement);
    if (!settled && !stale && !refuseInvalid(turn, statement)) continue;
    const waiting = new Map(turn.state.waiting);
    waiting.delete(key);
    turn.state = { ...turn.state, waiting };
    if (settled && !stale) {
      count(turn, statement);
      advance(turn);
    }
  }
}

/** Structure, signatures and, for a vote, the value its reports add up to (N2). */
function misfit(turn: Turn, statement: Statement): AgreementFault['kind'] | undefined {
  const { config } = turn;
  if (!verifyStatement(config, statement)) return 'invalidSignature';
  switch (statement.kind) {
    case 'vote':
      return misfitOfVote(turn, statement.vote);
    case 'strong':
      return stands(turn, statement.strong.certificate) ? undefined : 'invalidCertificate';
    case 'report':
      return misfitOfReport(turn, statement.report);
  }
}

function misfitOfVote(turn: Turn, vote: SignedVote): 'invalidReports' | 'wrongValue' | undefined {
  const { rules, quorum, config } = turn;
  if (!isValue(vote.value)) return 'wrongValue';
  if (vote.round === 0) return vote.reports.length === 0 ? undefined : 'invalidReports';
  const sound =
    vote.reports.length >= quorum &&
    ascend(vote.reports) &&
    vote.reports.every(
      (report) =>
        report.round === vote.round &&
        (isHeld(turn.state, report) ||
          (verifyStatement(config, { kind: 'report', report }) &&
            misfitOfReport(turn, report) === undefined)),
    );
  if (!sound) return 'invalidReports';
  return equalValues(rules.valueOf(vote.reports), vote.value) ? undefined : 'wrongValue';
}

function misfitOfReport(turn: Turn, report: SignedReport): 'invalidReports' | undefined {
  const { highest, proposals, round } = report;
  const sound =
    round > 0 &&
    isValue(proposals) &&
    // A lock of the very round is what led a latecomer into it.
    (highest === null || (highest.round <= round && stands(turn, highest)));
  return sound ? undefined : 'invalidReports';
}

/** A certificate for what is known to be certified proves nothing new: its signatures can rest. */
function stands(turn: Turn, certificate: Certificate): boolean {
  const { rules, state, config, quorum } = turn;
  if (!certificate.votes.every(({ voter }) => rules.mayStand(state, voter))) return false;
  const known = state.highest;
  if (known !== null && known.round === certificate.round) {
    if (sameVotes(known, certificate)) return true;
  }
  return verifyCertificate(config, certificate, quorum);
}

const sameVotes = (a: Certificate, b: Certificate): boolean =>
  equalValues(a.value, b.value) &&
  a.votes.length === b.votes.length &&
  a.votes.every((vote, i) => {
    const other = b.votes[i];
    return (
      other?.voter === vote.voter &&
      equalBytes(other.reports, vote.reports) &&
      equalBytes(other.signature, vote.signature)
    );
  });

/** It was verified when it came alone; the lock beside it is covered by the signature. */
const isHeld = (state: OpenState, report: SignedReport): boolean => {
  const held = state.reports.get(report.voter);
  return (
    held?.round === report.round &&
    equalBytes(held.signature, report.signature) &&
    equalBytes(bodyOf({ kind: 'report', report: held }), bodyOf({ kind: 'report', report }))
  );
};

/** The statement of this voter and phase that we count. */
function countedOf(state: OpenState, { kind, ...rest }: Statement): Statement | undefined {
  const { voter } = headOf({ kind, ...rest } as Statement);
  if (kind === 'vote') {
    const vote = state.votes.get(voter);
    return vote && { kind, vote };
  }
  if (kind === 'strong') {
    const strong = state.strongs.get(voter);
    return strong && { kind, strong };
  }
  const report = state.reports.get(voter);
  return report && { kind, report };
}

/** The newest one we know, counted or waiting (N9: one buffered per voter and phase). */
function knownOf(state: OpenState, statement: Statement): Statement | undefined {
  const counted = countedOf(state, statement);
  const waiting = state.waiting.get(slotOf(statement))?.statement;
  if (counted === undefined || waiting === undefined) return counted ?? waiting;
  return headOf(counted).round >= headOf(waiting).round ? counted : waiting;
}

const slotOf = (statement: Statement): string => `${headOf(statement).voter}:${statement.kind}`;

/** Nothing would change if it counted. */
function isStale(state: OpenState, statement: Statement): boolean {
  const { round } = headOf(statement);
  if (statement.kind === 'vote' && round < state.round) return true;
  const counted = countedOf(state, statement);
  return counted !== undefined && headOf(counted).round >= round;
}

function count(turn: Turn, statement: Statement): void {
  switch (statement.kind) {
    case 'vote': {
      const { vote } = statement;
      for (const report of vote.reports) mergeReport(turn, report);
      // N3: five reports prove the round.
      if (vote.round > turn.state.round && !enter(turn, vote.round)) return;
      const votes = new Map(turn.state.votes).set(vote.voter, vote);
      turn.state = { ...turn.state, votes };
      return;
    }
    case 'strong': {
      const { strong } = statement;
      const strongs = new Map(turn.state.strongs).set(strong.voter, strong);
      turn.state = { ...turn.state, strongs, highest: higher(turn.state, strong.certificate) };
      return;
    }
    case 'report':
      mergeReport(turn, statement.report);
  }
}

function mergeReport(turn: Turn, report: SignedReport): void {
  const { rules, state } = turn;
  const known = state.reports.get(report.voter);
  if (known !== undefined && known.round >= report.round) return;
  const cited = citedBy({ kind: 'report', report });
  if (!cited.every((hash) => rules.isSettled(state.proposals.get(toHex(hash))))) return;
  const highest = report.highest === null ? state.highest : higher(state, report.highest);
  turn.state = { ...state, reports: new Map(state.reports).set(report.voter, report), highest };
}

/** N7: a statement that cites an invalid proposal is nobody's honest statement. */
function refuseInvalid(turn: Turn, statement: Statement): boolean {
  const { state, config } = turn;
  const proposal = citedBy(statement).find(
    (hash) => state.proposals.get(toHex(hash))?.kind === 'invalid',
  );
  if (proposal === undefined) return false;
  const { voter } = headOf(statement);
  const culprit = nameToId(config.elders[voter] ?? new Uint8Array());
  turn.effects.push({
    kind: 'blame',
    fault: { kind: 'invalidProposal', culprit, statement, proposal },
  });
  turn.state = { ...state, distrusted: new Set(state.distrusted).add(voter) };
  return true;
}

/** N9: kept, one per voter and phase, until all it cites is valid. What the one before cited goes. */
function wait(turn: Turn, from: NodeId, statement: Statement): void {
  const { state } = turn;
  const slot = slotOf(statement);
  const isUnknown = (hash: Uint8Array): boolean => !state.proposals.has(toHex(hash));
  if (citedBy(statement).some(isUnknown)) {
    // Whoever cited an invalid proposal once cannot make us think about another one.
    if (state.distrusted.has(headOf(statement).voter)) return;
    // One statement's jobs at a time: it is repeated, and taken when these are done.
    const before = state.waiting.get(slot);
    if (before !== undefined && isBeingChecked(state, before.statement)) return;
  }
  const waiting = new Map(state.waiting).set(slot, { from, statement });
  const kept = turn.rules.forget({ ...state, waiting });
  const proposals = new Map(kept.proposals);
  for (const hash of citedBy(statement)) {
    const id = toHex(hash);
    if (!proposals.has(id)) proposals.set(id, { kind: 'missing' });
  }
  turn.state = { ...kept, proposals };
  startRepeating(turn);
}

/** N9: whoever sent a statement serves what it cites. */
export function ask(turn: Turn, whom: (from: NodeId) => boolean): void {
  const { config, state } = turn;
  const wanted = new Map<NodeId, Map<string, Uint8Array>>();
  for (const { from, statement } of state.waiting.values()) {
    if (!whom(from)) continue;
    const hashes = wanted.get(from) ?? new Map<string, Uint8Array>();
    for (const hash of citedBy(statement)) {
      const id = toHex(hash);
      if (state.proposals.get(id)?.kind === 'missing') hashes.set(id, hash);
    }
    if (hashes.size > 0) wanted.set(from, hashes);
  }
  for (const [from, hashes] of wanted) {
    const asked = [...hashes.values()].slice(0, maxAsked);
    const message = { kind: 'ask', generation: config.generation, hashes: asked } as const;
    turn.effects.push({ kind: 'send', to: [from], message });
  }
}

/** N4, N5: shown once per voter; what it signed still counts where it counts. */
function convict(turn: Turn, first: Statement, second: Statement): void {
  const { voter, round } = headOf(first);
  if (turn.state.convicted.has(voter)) return;
  turn.state = { ...turn.state, convicted: new Set(turn.state.convicted).add(voter) };
  const part = (statement: Statement) => ({
    body: bodyOf(statement),
    signature: headOf(statement).signature,
  });
  const evidence = {
    voter,
    round,
    phase: first.kind,
    first: part(first),
    second: part(second),
  };
  const culprit = nameToId(turn.config.elders[voter] ?? new Uint8Array());
  turn.effects.push({ kind: 'blame', fault: { kind: 'equivocation', culprit, evidence } });
}

type CarrierFault = Exclude<
  AgreementFault['kind'],
  'equivocation' | 'invalidProposal' | 'wrongValue'
>;

export function blame(turn: Turn, kind: AgreementFault['kind'], culprit: NodeId): void {
  turn.effects.push({ kind: 'blame', fault: { kind: kind as CarrierFault, culprit } });
}

export function setHeld(turn: Turn, id: string, held: HeldProposal): void {
  turn.state = { ...turn.state, proposals: new Map(turn.state.proposals).set(id, held) };
}

export const fits = (proposal: Uint8Array): boolean =>
  proposal.length > 0 && proposal.length <= maxProposalBytes;
