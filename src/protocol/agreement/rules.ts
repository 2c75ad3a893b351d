/** The rules that make agreement safe and live, one pure function each. Texts: docs/spec/agreement.md. */
import { equalBytes } from '#core/codec/bytes.ts';
import { supermajority } from '#protocol/section/index.ts';
import { dropUncited } from './proposals.ts';
import type {
  QuorumCertificate,
  RoundChange,
  Precommit,
  Prevote,
  Statement,
  Value,
} from './messages.ts';
import type { Agreement, ProposalStatus, OpenState } from './state.ts';
import { bodyOf, equalValues, headOf, roundChangesDigest } from './statements.ts';
import { valueAfterRoundChange } from './value-after-round-change.ts';

export interface AgreementRules {
  /** N1: the number of equal statements that form a quorum. */
  readonly quorum: (elders: number) => number;
  /** N1: whether this elder may still prevote in its round. */
  readonly mayPrevote: (state: OpenState) => boolean;
  /** N1, N4: the quorum certificate that the prevotes of this round form, if any. */
  readonly certificateOf: (state: OpenState, quorum: number) => QuorumCertificate | undefined;
  /** N4: whether a signature may count in a certificate; evidence never excludes one. */
  readonly mayCount: (state: OpenState, voter: number) => boolean;
  /** N2: the lock that a round change carries. */
  readonly lockOf: (state: OpenState) => QuorumCertificate | null;
  /** N2: the only value that these round changes allow. */
  readonly valueOf: (roundChanges: readonly RoundChange[]) => Value;
  /** N2: whether this elder may precommit to the certificate. */
  readonly mayPrecommit: (state: OpenState, certificate: QuorumCertificate) => boolean;
  /** N3: no value can still get five prevotes in this round. */
  readonly isSplit: (state: OpenState, elders: number, quorum: number) => boolean;
  /** N3: the highest round that at least one honest elder has entered. */
  readonly provenRound: (state: OpenState, elders: number, quorum: number) => number;
  /** N3: whether the round timer runs. */
  readonly mayRunRoundTimer: (state: OpenState, quorum: number) => boolean;
  /** N5: whether both together prove equivocation. */
  readonly provesEquivocation: (a: Statement, b: Statement) => boolean;
  /** N7: maps the validator's answer to a verdict. */
  readonly verdict: (result: Agreement['result']) => 'valid' | 'invalid' | 'later';
  /** N9: drops proposals that are no longer needed. */
  readonly dropUncited: (state: OpenState) => OpenState;
  /** N9: whether this proposal no longer keeps a statement pending. */
  readonly isSettled: (held: ProposalStatus | undefined) => boolean;
}

export const agreementRules: AgreementRules = {
  quorum: supermajority,

  mayPrevote: (state) =>
    state.lastSent.prevote === null || state.lastSent.prevote.prevote.round < state.round,

  certificateOf: (state, quorum) => {
    for (const prevote of state.prevotes.values()) {
      const equal = supporters(state, prevote.value);
      if (equal.length < quorum) continue;
      return {
        round: state.round,
        value: prevote.value,
        prevotes: equal.slice(0, quorum).map(({ voter, roundChanges, signature }) => ({
          voter,
          roundChangesDigest: roundChangesDigest(roundChanges),
          signature,
        })),
      };
    }
    return undefined;
  },

  mayCount: () => true,

  lockOf: (state) => state.highest,

  valueOf: valueAfterRoundChange,

  // After a round change to r, an elder signs nothing below r.
  mayPrecommit: (state, certificate) =>
    certificate.round === state.round &&
    (state.lastSent.precommit === null ||
      state.lastSent.precommit.precommit.certificate.round < state.round),

  isSplit: (state, elders, quorum) => {
    const missing = elders - state.prevotes.size;
    const best = Math.max(
      0,
      ...[...state.prevotes.values()].map(({ value }) => supporters(state, value).length),
    );
    return best + missing < quorum;
  },

  provenRound: (state, elders, quorum) => {
    // Three of seven: one more than may be faulty.
    const oneHonest = elders - quorum + 1;
    const rounds = [...state.roundChanges.values()].map(({ round }) => round).sort((a, b) => b - a);
    const entered = rounds[oneHonest - 1] ?? 0;
    return Math.max(entered, state.highest?.round ?? 0);
  },

  // A certificate counts like five prevotes: if two elders left the round and two are unresponsive,
  // the three that hold it would wait for five precommits for ever.
  mayRunRoundTimer: (state, quorum) =>
    state.prevotes.size >= quorum || state.highest?.round === state.round,

  provesEquivocation: (a, b) => {
    const [first, second] = [headOf(a), headOf(b)];
    return (
      a.kind === b.kind &&
      first.voter === second.voter &&
      first.round === second.round &&
      !equalBytes(bodyOf(a), bodyOf(b))
    );
  },

  verdict: ({ kind }) => kind,

  dropUncited,

  isSettled: (held) => held?.kind === 'valid',
};

/** This round's prevotes for this value, by voter. */
const supporters = (state: OpenState, value: Value): readonly Prevote[] =>
  [...state.prevotes.values()]
    .filter((prevote) => equalValues(prevote.value, value))
    .sort((a, b) => a.voter - b.voter);

/**
 * In rounds ≥ 1 the others first wait for this elder's prevote, so that all name the same round
 * changes.
 */
export const preferredVoterOf = (round: number, generation: bigint, elders: number): number =>
  Number((BigInt(round) + generation) % BigInt(elders));

/** Five equal precommits, if there are any. */
export function decidingPrecommits(
  precommits: ReadonlyMap<number, Precommit>,
  quorum: number,
): readonly Precommit[] | undefined {
  for (const { certificate } of precommits.values()) {
    const equal = [...precommits.values()].filter(
      (other) =>
        other.certificate.round === certificate.round &&
        equalValues(other.certificate.value, certificate.value),
    );
    if (equal.length >= quorum) {
      return equal.sort((a, b) => a.voter - b.voter).slice(0, quorum);
    }
  }
  return undefined;
}
