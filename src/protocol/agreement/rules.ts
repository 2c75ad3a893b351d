/** The rules that make the engine safe and live, one pure function each. Numbers: README.md. */
import { compareBytes, concat, equalBytes, toHex } from '#core/codec/bytes.ts';
import { supermajority } from '#protocol/section/index.ts';
import { prune } from './held.ts';
import type {
  Certificate,
  SignedReport,
  SignedStrong,
  SignedVote,
  Statement,
  Value,
} from './messages.ts';
import type { Agreement, HeldProposal, OpenState } from './state.ts';
import { bodyOf, equalValues, headOf, maxProposals, reportsDigest, toValue } from './statements.ts';

export interface AgreementRules {
  /** N1: how many equal statements carry the next step. */
  readonly quorum: (elders: number) => number;
  /** N1: whether this elder may still vote in its round. */
  readonly mayVote: (state: OpenState) => boolean;
  /** N1, N4: the certificate that the votes of this round make, if they do. */
  readonly certificateOf: (state: OpenState, quorum: number) => Certificate | undefined;
  /** N4: whether a signature may stand in a certificate; evidence never takes one out. */
  readonly mayStand: (state: OpenState, voter: number) => boolean;
  /** N2: the lock that a report shows. */
  readonly lockOf: (state: OpenState) => Certificate | null;
  /** N2: the value that these reports allow, and no other. */
  readonly valueOf: (reports: readonly SignedReport[]) => Value;
  /** N2: whether this elder may be strong for the certificate. */
  readonly mayBeStrong: (state: OpenState, certificate: Certificate) => boolean;
  /** N3: no value can have five votes in this round any more. */
  readonly isSplit: (state: OpenState, elders: number, quorum: number) => boolean;
  /** N3: the highest round that an honest elder has certainly entered. */
  readonly provenRound: (state: OpenState, elders: number, quorum: number) => number;
  /** N3: whether the pacing tick runs. */
  readonly mayPace: (state: OpenState, quorum: number) => boolean;
  /** N5: whether both together convict their signer. */
  readonly convicts: (a: Statement, b: Statement) => boolean;
  /** N7: what the validator's answer means. */
  readonly verdict: (result: Agreement['result']) => 'valid' | 'invalid' | 'later';
  /** N9: forgets proposals that nobody needs any more. */
  readonly forget: (state: OpenState) => OpenState;
  /** N9: whether a citation no longer keeps a statement waiting. */
  readonly isSettled: (held: HeldProposal | undefined) => boolean;
}

export const agreementRules: AgreementRules = {
  quorum: supermajority,

  mayVote: (state) => state.said.vote === null || state.said.vote.vote.round < state.round,

  certificateOf: (state, quorum) => {
    for (const vote of state.votes.values()) {
      const equal = supporters(state, vote.value);
      if (equal.length < quorum) continue;
      return {
        round: state.round,
        value: vote.value,
        votes: equal.slice(0, quorum).map(({ voter, reports, signature }) => ({
          voter,
          reports: reportsDigest(reports),
          signature,
        })),
      };
    }
    return undefined;
  },

  mayStand: () => true,

  lockOf: (state) => state.highest,

  valueOf: (reports) => {
    let lock: Certificate | null = null;
    for (const { highest } of reports) {
      if (highest !== null && (lock === null || outranks(highest, lock))) lock = highest;
    }
    return lock === null ? unionOf(reports) : lock.value;
  },

  // The round is the promise: whoever reported round r says nothing more below it.
  mayBeStrong: (state, certificate) =>
    certificate.round === state.round &&
    (state.said.strong === null || state.said.strong.strong.certificate.round < state.round),

  isSplit: (state, elders, quorum) => {
    const unheard = elders - state.votes.size;
    const best = Math.max(
      0,
      ...[...state.votes.values()].map(({ value }) => supporters(state, value).length),
    );
    return best + unheard < quorum;
  },

  provenRound: (state, elders, quorum) => {
    // Three of seven: more than can lie.
    const enough = elders - quorum + 1;
    const rounds = [...state.reports.values()].map(({ round }) => round).sort((a, b) => b - a);
    const reported = rounds[enough - 1] ?? 0;
    return Math.max(reported, state.highest?.round ?? 0);
  },

  // A certificate counts as five votes: with two elders gone ahead and two silent, the three that
  // hold it would wait for ever for five strong ones.
  mayPace: (state, quorum) => state.votes.size >= quorum || state.highest?.round === state.round,

  convicts: (a, b) => {
    const [first, second] = [headOf(a), headOf(b)];
    return (
      a.kind === b.kind &&
      first.voter === second.voter &&
      first.round === second.round &&
      !equalBytes(bodyOf(a), bodyOf(b))
    );
  },

  verdict: ({ kind }) => kind,

  forget: prune,

  isSettled: (held) => held?.kind === 'valid',
};

/** Voters whose vote of this round is for this value, in order. */
const supporters = (state: OpenState, value: Value): readonly SignedVote[] =>
  [...state.votes.values()]
    .filter((vote) => equalValues(vote.value, value))
    .sort((a, b) => a.voter - b.voter);

/** Two locks of one round can only differ when more than two lie; then the order must not matter. */
const outranks = (a: Certificate, b: Certificate): boolean =>
  a.round !== b.round
    ? a.round > b.round
    : compareBytes(concat(...a.value), concat(...b.value)) < 0;

/**
 * All proposals that were reported. When there are too many, those that most elders saw: a liar
 * cannot push out what the honest ones agree on.
 */
function unionOf(reports: readonly SignedReport[]): Value {
  const counts = new Map<string, { readonly hash: Uint8Array; readonly count: number }>();
  for (const { proposals } of reports) {
    for (const hash of proposals) {
      const id = toHex(hash);
      counts.set(id, { hash, count: (counts.get(id)?.count ?? 0) + 1 });
    }
  }
  const ranked = [...counts.values()].sort(
    (a, b) => b.count - a.count || compareBytes(a.hash, b.hash),
  );
  return toValue(ranked.slice(0, maxProposals).map(({ hash }) => hash));
}

/** Whose vote the others wait for a while in rounds ≥ 1, so that all name the same reports. */
export const leadOf = (round: number, generation: bigint, elders: number): number =>
  Number((BigInt(round) + generation) % BigInt(elders));

/** The strong statement that five elders share, if there is one. */
export function decidedStrongs(
  strongs: ReadonlyMap<number, SignedStrong>,
  quorum: number,
): readonly SignedStrong[] | undefined {
  for (const { certificate } of strongs.values()) {
    const equal = [...strongs.values()].filter(
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
