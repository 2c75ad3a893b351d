/**
 * Receives statements: verifies each once, holds it until all it cites is valid (N9), then counts
 * it.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { isBeingValidated, recordValidProposal } from './proposals.ts';
import type { RoundChange, Statement } from './messages.ts';
import type { AgreementFault, ProposalStatus, OpenState, ValidationId } from './state.ts';
import {
  bodyOf,
  citedBy,
  headOf,
  maxProposalBytes,
  maxProposals,
  proposalHash,
  verifyStatement,
} from './statements.ts';
import { isVerifiedRoundChange, structuralFault } from './statement-faults.ts';
import { advanceRound, enterRound } from './rounds.ts';
import { higherCertificate, startRetransmission, type StepBuilder } from './step-builder.ts';

/** Hashes in one request: all that one round change can cite. */
export const maxRequestedProposals = 2 * maxProposals;

/** N1, N5, N9: a statement of the elder `from`, or of another one that `from` forwards. */
export function receiveStatement(step: StepBuilder, from: NodeId, statement: Statement): void {
  if (step.decided !== null) return;
  const { config, rules } = step;
  const { voter, round } = headOf(statement);
  const name = config.elders[voter];
  if (name === undefined || voter === step.self) return;
  if (statement.kind !== 'roundChange' && nameToId(name) !== from)
    return blame(step, 'forgedAuthor', from);

  const before = knownOf(step.state, statement);
  if (before !== undefined) {
    if (equalBytes(headOf(before).signature, headOf(statement).signature)) {
      return updateCarrier(step, from, statement);
    }
    if (rules.provesEquivocation(before, statement)) {
      if (verifyStatement(config, statement)) reportEquivocation(step, before, statement);
      return; // N1: the first one counts.
    }
    if (headOf(before).round > round) return;
  }
  if (isStale(step.state, statement)) return;
  const fault = structuralFault(step, statement);
  if (fault !== undefined) {
    return fault === 'invalidValue'
      ? void step.effects.push({
          kind: 'blame',
          fault: { kind: 'invalidValue', culprit: nameToId(name), statement },
        })
      : blame(step, fault, from);
  }
  const sound = withVerifiedRoundChanges(step.state, statement);
  const held = citedBy(sound).map((hash) => step.state.proposals.get(toHex(hash)));
  if (held.every((each) => rules.isSettled(each))) {
    countStatement(step, sound);
    advanceRound(step);
    return;
  }
  if (rejectIfInvalid(step, sound)) return;
  holdPending(step, from, sound);
}

/** Another elder also sent this pending statement: request its proposals from that one. */
function updateCarrier(step: StepBuilder, from: NodeId, statement: Statement): void {
  const slot = pendingKeyOf(statement);
  const waits = step.state.pending.get(slot);
  if (waits === undefined || waits.from === from) return;
  if (!equalBytes(headOf(waits.statement).signature, headOf(statement).signature)) return;
  const pending = new Map(step.state.pending).set(slot, { ...waits, from });
  step.state = { ...step.state, pending };
}

/**
 * The five prevotes inside a round change's lock are not signed by its author, so the sender may
 * have altered them. Use and forward our own verified copy.
 */
function withVerifiedRoundChanges(state: OpenState, statement: Statement): Statement {
  if (statement.kind !== 'prevote') return statement;
  const roundChanges = statement.prevote.roundChanges.map((roundChange) =>
    isVerifiedRoundChange(state, roundChange)
      ? (state.roundChanges.get(roundChange.voter) ?? roundChange)
      : roundChange,
  );
  return { kind: 'prevote', prevote: { ...statement.prevote, roundChanges } };
}

/** Accepts bytes that a statement cites, or that this elder proposed. */
export function receiveProposal(step: StepBuilder, proposal: Uint8Array): 'uncited' | 'held' {
  const id = toHex(proposalHash(proposal));
  const before = step.state.proposals.get(id);
  if (before === undefined) return 'uncited';
  if (before.kind !== 'missing') return 'held';
  setProposalStatus(step, id, { kind: 'checking', bytes: proposal });
  requestValidation(step, id, proposal);
  return 'held';
}

/** N7: validates a proposal in a job. The id carries the retry count at the time of the request. */
export function requestValidation(step: StepBuilder, id: string, proposal: Uint8Array): void {
  const job = { kind: 'validate', proposal } as const;
  step.effects.push({ kind: 'compute', id: { proposal: id, retries: step.state.retries }, job });
}

export function onValidated(
  step: StepBuilder,
  { proposal: id, retries }: ValidationId,
  verdict: 'valid' | 'invalid' | 'later',
): void {
  const before = step.state.proposals.get(id);
  if (before?.kind !== 'checking') return;
  const { bytes } = before;
  if (verdict === 'later' && retries < step.state.retries)
    return requestValidation(step, id, bytes);
  setProposalStatus(
    step,
    id,
    verdict === 'invalid' ? { kind: 'invalid' } : { kind: verdict, bytes },
  );
  if (verdict === 'later') return;
  if (verdict === 'valid')
    step.state = recordValidProposal(step.state, bytes, step.config.subjectOf);
  releasePending(step);
  advanceRound(step);
}

/** Counts or rejects the pending statements whose proposals are now validated. */
function releasePending(step: StepBuilder): void {
  const { rules } = step;
  for (const [key, { statement }] of step.state.pending) {
    if (step.decided !== null) return;
    const { proposals } = step.state;
    const settled = citedBy(statement).every((hash) => rules.isSettled(proposals.get(toHex(hash))));
    const stale = isStale(step.state, statement);
    if (!settled && !stale && !rejectIfInvalid(step, statement)) continue;
    const pending = new Map(step.state.pending);
    pending.delete(key);
    step.state = { ...step.state, pending };
    if (settled && !stale) {
      countStatement(step, statement);
      advanceRound(step);
    }
  }
}

/** The counted statement of this voter and phase. */
function countedOf(state: OpenState, { kind, ...rest }: Statement): Statement | undefined {
  const { voter } = headOf({ kind, ...rest } as Statement);
  if (kind === 'prevote') {
    const prevote = state.prevotes.get(voter);
    return prevote && { kind, prevote };
  }
  if (kind === 'precommit') {
    const precommit = state.precommits.get(voter);
    return precommit && { kind, precommit };
  }
  const roundChange = state.roundChanges.get(voter);
  return roundChange && { kind, roundChange };
}

/** The newest known one, counted or pending (N9: one pending per voter and phase). */
function knownOf(state: OpenState, statement: Statement): Statement | undefined {
  const counted = countedOf(state, statement);
  const waiting = state.pending.get(pendingKeyOf(statement))?.statement;
  if (counted === undefined || waiting === undefined) return counted ?? waiting;
  return headOf(counted).round >= headOf(waiting).round ? counted : waiting;
}

const pendingKeyOf = (statement: Statement): string =>
  `${headOf(statement).voter}:${statement.kind}`;

/** Whether counting it would change nothing. */
function isStale(state: OpenState, statement: Statement): boolean {
  const { round } = headOf(statement);
  if (statement.kind === 'prevote' && round < state.round) return true;
  const counted = countedOf(state, statement);
  return counted !== undefined && headOf(counted).round >= round;
}

function countStatement(step: StepBuilder, statement: Statement): void {
  switch (statement.kind) {
    case 'prevote': {
      const { prevote } = statement;
      for (const roundChange of prevote.roundChanges) mergeRoundChange(step, roundChange);
      // N3: five round changes prove the round.
      if (prevote.round > step.state.round && !enterRound(step, prevote.round)) return;
      const prevotes = new Map(step.state.prevotes).set(prevote.voter, prevote);
      step.state = { ...step.state, prevotes };
      return;
    }
    case 'precommit': {
      const { precommit } = statement;
      const precommits = new Map(step.state.precommits).set(precommit.voter, precommit);
      step.state = {
        ...step.state,
        precommits,
        highest: higherCertificate(step.state, precommit.certificate),
      };
      return;
    }
    case 'roundChange':
      mergeRoundChange(step, statement.roundChange);
  }
}

function mergeRoundChange(step: StepBuilder, roundChange: RoundChange): void {
  const { rules, state } = step;
  const known = state.roundChanges.get(roundChange.voter);
  if (known !== undefined && known.round >= roundChange.round) return;
  const cited = citedBy({ kind: 'roundChange', roundChange });
  if (!cited.every((hash) => rules.isSettled(state.proposals.get(toHex(hash))))) return;
  const highest =
    roundChange.highest === null ? state.highest : higherCertificate(state, roundChange.highest);
  step.state = {
    ...state,
    roundChanges: new Map(state.roundChanges).set(roundChange.voter, roundChange),
    highest,
  };
}

/** N7: an honest elder never signs a statement that cites an invalid proposal. */
function rejectIfInvalid(step: StepBuilder, statement: Statement): boolean {
  const { state, config } = step;
  const proposal = citedBy(statement).find(
    (hash) => state.proposals.get(toHex(hash))?.kind === 'invalid',
  );
  if (proposal === undefined) return false;
  const { voter } = headOf(statement);
  const culprit = nameToId(config.elders[voter] ?? new Uint8Array());
  step.effects.push({
    kind: 'blame',
    fault: { kind: 'invalidProposal', culprit, statement, proposal },
  });
  step.state = { ...state, citedInvalid: new Set(state.citedInvalid).add(voter) };
  return true;
}

/** N9: pending, one per voter and phase, until all it cites is valid. Replaces the previous one. */
function holdPending(step: StepBuilder, from: NodeId, statement: Statement): void {
  const { state } = step;
  const slot = pendingKeyOf(statement);
  const isUnknown = (hash: Uint8Array): boolean => !state.proposals.has(toHex(hash));
  if (citedBy(statement).some(isUnknown)) {
    // An elder that cited an invalid proposal gets no further validation.
    if (state.citedInvalid.has(headOf(statement).voter)) return;
    // One statement's jobs at a time: the sender retransmits, and it is accepted when these are
    // done.
    const before = state.pending.get(slot);
    if (before !== undefined && isBeingValidated(state, before.statement)) return;
  }
  const pending = new Map(state.pending).set(slot, { from, statement });
  const kept = step.rules.dropUncited({ ...state, pending });
  const proposals = new Map(kept.proposals);
  for (const hash of citedBy(statement)) {
    const id = toHex(hash);
    if (!proposals.has(id)) proposals.set(id, { kind: 'missing' });
  }
  step.state = { ...kept, proposals };
  startRetransmission(step);
}

/** N9: the sender of a statement supplies the proposals it cites. */
export function requestProposals(step: StepBuilder, isAsked: (from: NodeId) => boolean): void {
  const { config, state } = step;
  const wanted = new Map<NodeId, Map<string, Uint8Array>>();
  for (const { from, statement } of state.pending.values()) {
    if (!isAsked(from)) continue;
    const hashes = wanted.get(from) ?? new Map<string, Uint8Array>();
    for (const hash of citedBy(statement)) {
      const id = toHex(hash);
      if (state.proposals.get(id)?.kind === 'missing') hashes.set(id, hash);
    }
    if (hashes.size > 0) wanted.set(from, hashes);
  }
  for (const [from, hashes] of wanted) {
    const asked = [...hashes.values()].slice(0, maxRequestedProposals);
    const message = {
      kind: 'requestProposals',
      generation: config.generation,
      hashes: asked,
    } as const;
    step.effects.push({ kind: 'send', to: [from], message });
  }
}

/** N4, N5: reported once per voter. Its signatures still count. */
function reportEquivocation(step: StepBuilder, first: Statement, second: Statement): void {
  const { voter, round } = headOf(first);
  if (step.state.equivocators.has(voter)) return;
  step.state = { ...step.state, equivocators: new Set(step.state.equivocators).add(voter) };
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
  const culprit = nameToId(step.config.elders[voter] ?? new Uint8Array());
  step.effects.push({ kind: 'blame', fault: { kind: 'equivocation', culprit, evidence } });
}

type CarrierFault = Exclude<
  AgreementFault['kind'],
  'equivocation' | 'invalidProposal' | 'invalidValue'
>;

export function blame(step: StepBuilder, kind: AgreementFault['kind'], culprit: NodeId): void {
  step.effects.push({ kind: 'blame', fault: { kind: kind as CarrierFault, culprit } });
}

export function setProposalStatus(step: StepBuilder, id: string, held: ProposalStatus): void {
  step.state = { ...step.state, proposals: new Map(step.state.proposals).set(id, held) };
}

export const isProposalSizeValid = (proposal: Uint8Array): boolean =>
  proposal.length > 0 && proposal.length <= maxProposalBytes;
