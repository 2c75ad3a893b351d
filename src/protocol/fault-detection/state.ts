/** Counts one elder keeps of other members' faults, and their configuration. Rules: docs/spec/membership.md. */
import type { NodeId } from '#core/machine.ts';

/** Elders are compared with elders, adults with adults. */
export type PeerKind = 'elder' | 'adult';

/** Independent kinds of misbehaviour, counted separately. */
export type Issue =
  /** No answer in a counted re-send round; counted by the detector itself. */
  | 'silence'
  /** Used an old state after it had been sent the new one. */
  | 'staleState'
  /** A holder lacks a chunk it must store, or does not answer about it. */
  | 'missingCopy'
  /** Sent bytes, proofs or signatures that do not verify; no faulty link causes that. */
  | 'provable'
  /** Did not send its part of a running key generation. */
  | 'dkg'
  /** A generation was decided without its vote. */
  | 'missedVote';

export const issues: readonly Issue[] = [
  'silence',
  'staleState',
  'missingCopy',
  'provable',
  'dkg',
  'missedVote',
];

/** FAULT-F10: no bad link, restart or load makes an honest node do it. */
export const isSufficientAlone = (issue: Issue): boolean => issue === 'provable';

export interface FaultDetectionConfig {
  readonly self: NodeId;
  /** Peers of one kind required before one can be an outlier. */
  readonly samplesRequired: number;
  /** Consecutive unanswered rounds that suffice alone, as provable misbehaviour does (FAULT-F10). */
  readonly silenceLimitRounds: number;
  /** Answered rounds during which a new or restarted peer is not judged. */
  readonly graceRounds: number;
  /** Decided generations during which a new peer is not judged. */
  readonly graceGenerations: number;
  /** After this many unanswered rounds, a peer that answers again gets a new grace period. */
  readonly restartRounds: number;
  /** Grace periods granted for restarts while the window still holds issues of the peer. */
  readonly restartsAllowed: number;
  /** Rounds in the window, answered or not; older issues are dropped. */
  readonly windowRounds: number;
  /** Scaled median deviations above the median that are out of line. */
  readonly deviationsAllowed: number;
  /** Minimum issues above the median, however close together the others are. */
  readonly excessRequired: Readonly<Record<Issue, number>>;
  /** Categories that must be out of line at the same time. */
  readonly categoriesRequired: number;
  /** Answered rounds between two proposals. */
  readonly roundsBetweenProposals: number;
}

/** With rounds of one second a dead node is proposed after about 20 s. */
export const defaultFaultDetection: Omit<FaultDetectionConfig, 'self'> = {
  samplesRequired: 4,
  silenceLimitRounds: 20,
  graceRounds: 15,
  graceGenerations: 2,
  restartRounds: 4,
  restartsAllowed: 3,
  windowRounds: 600,
  deviationsAllowed: 4,
  excessRequired: {
    silence: 8,
    staleState: 10,
    missingCopy: 3,
    provable: 2,
    dkg: 4,
    missedVote: 3,
  },
  categoriesRequired: 2,
  roundsBetweenProposals: 10,
};

/** Counts per block of rounds, so that old ones expire without a list of single issues. */
export interface RoundBucket {
  /** First round of this block. */
  readonly from: number;
  readonly counts: Readonly<Record<Issue, number>>;
}

export interface PeerHistory {
  readonly kind: PeerKind;
  /** Decided generations observed since it was admitted. */
  readonly generations: number;
  /** Answered rounds since it was admitted, became an elder, or restarted. */
  readonly rounds: number;
  /** Counted rounds without an answer since its last one. */
  readonly unresponsiveRounds: number;
  /** Restarts while the window still holds issues of the peer. */
  readonly restarts: number;
  /** Newest first. */
  readonly buckets: readonly RoundBucket[];
}

export interface FaultDetectionState {
  readonly peers: ReadonlyMap<NodeId, PeerHistory>;
  /** Rounds so far, answered or not. */
  readonly round: number;
  /** Answered rounds since the last proposal. */
  readonly roundsSinceProposal: number;
  /** FAULT-F4: at least half of the peers asked answered in the last round. */
  readonly lastRoundCounts: boolean;
  readonly lastProposed: NodeId | null;
}

export type FaultDetectionEvent =
  /** A generation was adopted, with these members. */
  | {
      readonly kind: 'adopted';
      readonly members: readonly { readonly id: NodeId; readonly kind: PeerKind }[];
    }
  /** A re-send round ended: peers awaited, and peers that answered or sent any message. */
  | {
      readonly kind: 'roundEnded';
      readonly asked: readonly NodeId[];
      readonly answered: readonly NodeId[];
    }
  /** Another issue was observed; only rounds count `silence`. */
  | {
      readonly kind: 'seen';
      readonly id: NodeId;
      readonly issue: Exclude<Issue, 'silence'>;
    };

/** Why a member is out of line: for the log, the page, and the endorsing elder. */
export interface Evidence {
  readonly issue: Issue;
  readonly count: number;
  /** Among peers of its kind. */
  readonly median: number;
  /** Counts above this are out of line. */
  readonly allowed: number;
}

export interface Suspicion {
  readonly id: NodeId;
  readonly kind: PeerKind;
  /** Sum over categories of (count − median) / (allowed − median): worse is higher. */
  readonly score: number;
  readonly reachedSilenceLimit: boolean;
  readonly evidence: readonly Evidence[];
}
