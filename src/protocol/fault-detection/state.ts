/** What one elder saw others do or leave undone, and what it makes of it. Rules in README.md. */
import type { NodeId } from '#core/machine.ts';

/** Elders are compared with elders, adults with adults. */
export type PeerKind = 'elder' | 'adult';

/** Independent kinds of misbehaviour, each counted apart. */
export type Issue =
  /** An answered re-send round in which this one was silent; counted by the detector itself. */
  | 'silence'
  /** Spoke by an old state although it had been told the new one. */
  | 'knowledge'
  /** Promises that were empty: it lacks what it has to hold, or gives no answer about it. */
  | 'data'
  /** Gave what cannot be true: bytes, proofs or signatures that do not fit. No link does that. */
  | 'falsehood'
  /** A key generation waits for its part. */
  | 'dkg'
  /** A generation was decided without its vote. */
  | 'vote';

export const issues: readonly Issue[] = [
  'silence',
  'knowledge',
  'data',
  'falsehood',
  'dkg',
  'vote',
];

/** F10: neither a bad link nor a restart nor load makes an honest node do it. */
export const isDamningAlone = (issue: Issue): boolean => issue === 'falsehood';

export interface FaultDetectionConfig {
  readonly self: NodeId;
  /** Of a kind of peers so many must be there before one can stand out. */
  readonly samplesRequired: number;
  /** Answered rounds in a row without a word: enough alone, as falsehoods are (F10). */
  readonly hardSilenceRounds: number;
  /** A newcomer, or one that was here and restarts, is left alone for so many answered rounds… */
  readonly graceRounds: number;
  /** …and a newcomer for so many decided generations. */
  readonly graceGenerations: number;
  /** Who was silent for so many and comes back has restarted: its grace begins anew… */
  readonly restartRounds: number;
  /** …but only so often, as long as any of it is remembered. */
  readonly restartsAllowed: number;
  /** Rounds that are remembered, answered or not; older issues are forgotten. */
  readonly windowRounds: number;
  /** How many (scaled) deviations above the median count as out of line. */
  readonly deviationsAllowed: number;
  /** And at least so many issues above the median, however close together the others are. */
  readonly excessRequired: Readonly<Record<Issue, number>>;
  /** Categories that must be out of line at the same time. */
  readonly categoriesRequired: number;
  /** Answered rounds between two proposals. */
  readonly roundsBetweenProposals: number;
}

/** With rounds of one second a dead node is proposed after about 20 s. */
export const usualFaultDetection: Omit<FaultDetectionConfig, 'self'> = {
  samplesRequired: 4,
  hardSilenceRounds: 20,
  graceRounds: 15,
  graceGenerations: 2,
  restartRounds: 4,
  restartsAllowed: 3,
  windowRounds: 600,
  deviationsAllowed: 4,
  excessRequired: { silence: 8, knowledge: 10, data: 3, falsehood: 2, dkg: 4, vote: 3 },
  categoriesRequired: 2,
  roundsBetweenProposals: 10,
};

/** Counts per block of rounds, so that old ones can be forgotten without a list of all. */
export interface Block {
  /** Rounds before this block. */
  readonly from: number;
  readonly counts: Readonly<Record<Issue, number>>;
}

export interface Peer {
  readonly kind: PeerKind;
  /** Decided generations since it was admitted, as far as they were seen. */
  readonly generations: number;
  /** Answered rounds since it was admitted, became an elder, or came back. */
  readonly rounds: number;
  /** Answered rounds since it was heard last. */
  readonly silentRounds: number;
  /** How often it came back from a silence, as long as any of it is remembered. */
  readonly returns: number;
  /** Newest first. */
  readonly blocks: readonly Block[];
}

export interface FaultDetectionState {
  readonly peers: ReadonlyMap<NodeId, Peer>;
  /** Rounds so far, answered or not. */
  readonly round: number;
  /** Answered rounds since the last proposal. */
  readonly roundsSinceProposal: number;
  /** F4: most of those asked answered in the round that ended last. */
  readonly lastRoundCounts: boolean;
  readonly lastProposed: NodeId | null;
}

export type FaultDetectionEvent =
  /** A generation was adopted: who belongs now, and as what. */
  | {
      readonly kind: 'adopted';
      readonly members: readonly { readonly id: NodeId; readonly kind: PeerKind }[];
    }
  /** A re-send round ended: who was waited for, and who answered or was heard meanwhile. */
  | {
      readonly kind: 'roundEnded';
      readonly asked: readonly NodeId[];
      readonly answered: readonly NodeId[];
    }
  /** Something else was seen; `silence` is counted from rounds only. */
  | {
      readonly kind: 'seen';
      readonly id: NodeId;
      readonly issue: Exclude<Issue, 'silence'>;
    };

/** Why a member stands out: for the log, the page, and the elder that endorses. */
export interface Evidence {
  readonly issue: Issue;
  readonly count: number;
  /** Of its kind. */
  readonly median: number;
  /** Beyond this it counts as out of line. */
  readonly allowed: number;
}

export interface Suspicion {
  readonly id: NodeId;
  readonly kind: PeerKind;
  /** Sum over categories of (count − median) / (allowed − median): worse is higher. */
  readonly score: number;
  readonly hardSilence: boolean;
  readonly evidence: readonly Evidence[];
}
