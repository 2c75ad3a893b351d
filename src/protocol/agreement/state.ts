/** One generation at one elder: configuration, state, facts, faults, inputs and outputs. */
import type { NodeId } from '#core/machine.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type {
  AgreementMessage,
  QuorumCertificate,
  Decision,
  DecisionCertificate,
  Equivocation,
  RoundChange,
  Precommit,
  Prevote,
  Statement,
} from './messages.ts';

/** What every statement is bound to, and which elders may sign. */
export interface AgreementScope {
  readonly networkId: Uint8Array;
  /** The section key, or any other tag of at most 96 bytes. */
  readonly key: Uint8Array;
  readonly epoch: bigint;
  readonly generation: bigint;
  /** Names in byte order; the position is the voter's number. */
  readonly elders: readonly Uint8Array[];
  readonly identity: IdentitySuite;
}

export interface AgreementConfig extends AgreementScope {
  /** This elder's name, one of `elders`. */
  readonly self: Uint8Array;
  readonly identitySeed: Uint8Array;
  /** Round timeout of round 0; doubles with each round. */
  readonly roundTimeoutMs: number;
  /** N10: this elder's store was lost or rolled back, so it only accepts decisions. */
  readonly abstain: boolean;
  /** Proposals with one subject are copies of one act: a round change lists one of them. */
  readonly subjectOf: (proposal: Uint8Array) => string;
}

/** How far a cited proposal has been fetched and validated (N9). */
export type ProposalStatus =
  | { readonly kind: 'missing' }
  | { readonly kind: 'checking' | 'later' | 'valid'; readonly bytes: Uint8Array }
  | { readonly kind: 'invalid' };

/** The last message of each phase that this elder sent, byte for byte (N10). */
export interface LastSent {
  readonly prevote: (AgreementMessage & { readonly kind: 'prevote' }) | null;
  readonly precommit: (AgreementMessage & { readonly kind: 'precommit' }) | null;
  readonly roundChange: RoundChange | null;
}

export interface OpenState {
  readonly kind: 'open';
  /** This elder signs nothing below this round (N2). */
  readonly round: number;
  /** By hash in hex. */
  readonly proposals: ReadonlyMap<string, ProposalStatus>;
  /**
   * Hashes of valid proposals in order of validation, at most `maxProposals`: listed in round
   * changes.
   */
  readonly validHashes: readonly Uint8Array[];
  /** Hashes of the proposals that the role asked this elder to propose. */
  readonly offered: ReadonlySet<string>;
  /** Hashes of proposals in this elder's facts. */
  readonly stored: ReadonlySet<string>;
  /** Prevotes of this round, by voter; the first of each (N1). */
  readonly prevotes: ReadonlyMap<number, Prevote>;
  /** By voter, the one of its highest round. */
  readonly precommits: ReadonlyMap<number, Precommit>;
  readonly roundChanges: ReadonlyMap<number, RoundChange>;
  readonly highest: QuorumCertificate | null;
  readonly lastSent: LastSent;
  /** N9: verified statements that cite proposals not known to be valid, by `voter:phase`. */
  readonly pending: ReadonlyMap<string, PendingStatement>;
  /** Voters that equivocated, and voters that cited an invalid proposal. */
  readonly equivocators: ReadonlySet<number>;
  readonly citedInvalid: ReadonlySet<number>;
  /** Timers of this round. */
  readonly roundTimerRunning: boolean;
  readonly preferredVoterWait: 'unset' | 'waiting' | 'over';
  /** Number of retransmissions; `null` while there is nothing to re-send. */
  readonly retransmissions: number | null;
  /** Number of `retry` inputs. */
  readonly retries: number;
}

export interface PendingStatement {
  readonly from: NodeId;
  readonly statement: Statement;
}

export type AgreementState =
  | OpenState
  | {
      readonly kind: 'decided';
      readonly decision: Decision;
      /** Elders known to hold it. */
      readonly knownHolders: ReadonlySet<NodeId>;
      readonly retransmissions: number;
    }
  /** Sealed: only answers late voters (N11). `null` if the seal arrived before the decision. */
  | { readonly kind: 'closed'; readonly decision: Decision | null };

export type AgreementFact =
  /** N10: the exact message, its round, the lock, and the proposals this elder must now serve. */
  | {
      readonly kind: 'signed';
      readonly round: number;
      readonly message: AgreementMessage;
      readonly highest: QuorumCertificate | null;
      readonly proposals: readonly Uint8Array[];
    }
  | { readonly kind: 'decided'; readonly decision: Decision };

export type AgreementFault =
  | {
      readonly kind: 'equivocation';
      readonly culprit: NodeId;
      readonly evidence: Equivocation;
    }
  /** A statement that cites an invalid proposal. The culprit is its signer. */
  | {
      readonly kind: 'invalidProposal';
      readonly culprit: NodeId;
      readonly statement: Statement;
      readonly proposal: Uint8Array;
    }
  /** A prevote whose round changes imply another value. */
  | { readonly kind: 'invalidValue'; readonly culprit: NodeId; readonly statement: Statement }
  /** Misbehaviour of the sender: no honest node sends this. */
  | {
      readonly kind:
        | 'notElder'
        | 'forgedAuthor'
        | 'invalidSignature'
        | 'invalidRoundChanges'
        | 'invalidCertificate'
        | 'invalidDecision'
        | 'unreferencedProposal';
      readonly culprit: NodeId;
    };

/** A proposal by the hex of its hash, and the retry count when its validation was requested. */
export interface ValidationId {
  readonly proposal: string;
  readonly retries: number;
}

export interface Agreement {
  readonly input:
    | { readonly kind: 'propose'; readonly proposal: Uint8Array }
    /** Validates `later` proposals again: those in `only`, or all. */
    | { readonly kind: 'retry'; readonly only?: readonly Uint8Array[] }
    /** The generation is sealed: stop retransmitting, only answer (N11). */
    | { readonly kind: 'close' };
  readonly message: AgreementMessage;
  readonly fact: AgreementFact;
  readonly output: {
    readonly kind: 'decided';
    readonly proposals: readonly Uint8Array[];
    readonly certificate: DecisionCertificate;
  };
  readonly fault: AgreementFault;
  readonly timer: 'roundTimeout' | 'preferredVoter' | 'repeat';
  readonly job: { readonly kind: 'validate'; readonly proposal: Uint8Array };
  readonly jobId: ValidationId;
  readonly result: { readonly kind: 'valid' | 'invalid' | 'later' };
}
