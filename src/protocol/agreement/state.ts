/** One generation at one elder: its configuration, what it remembers, and the words it uses. */
import type { NodeId } from '#core/machine.ts';
import type { IdentitySuite } from '#money/identity.ts';
import type {
  AgreementMessage,
  Certificate,
  Decision,
  DecisionCertificate,
  Equivocation,
  SignedReport,
  SignedStrong,
  SignedVote,
  Statement,
} from './messages.ts';

/** What every statement is bound to, and who may speak. */
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
  /** First wait of the pacing tick; doubles with the round. */
  readonly paceMs: number;
  /** N10: this elder's store was lost or rolled back, so it only listens. */
  readonly silent: boolean;
  /** Proposals of one subject are copies of one wish: a report lists one of them. */
  readonly subjectOf: (proposal: Uint8Array) => string;
}

/** A proposal somebody cited, by how far we are with it (N9). */
export type HeldProposal =
  | { readonly kind: 'missing' }
  | { readonly kind: 'checking' | 'later' | 'valid'; readonly bytes: Uint8Array }
  | { readonly kind: 'invalid' };

/** The last message of each phase that this elder sent, exactly as it was sent (N10). */
export interface Said {
  readonly vote: (AgreementMessage & { readonly kind: 'vote' }) | null;
  readonly strong: (AgreementMessage & { readonly kind: 'strong' }) | null;
  readonly report: SignedReport | null;
}

export interface OpenState {
  readonly kind: 'open';
  /** Nothing is said in a round below this one any more (N2). */
  readonly round: number;
  /** By hash in hex. */
  readonly proposals: ReadonlyMap<string, HeldProposal>;
  /** Hashes of valid proposals as they became so, at most `maxProposals`: what reports list. */
  readonly seen: readonly Uint8Array[];
  /** Hashes of the proposals this elder was told to offer. */
  readonly offered: ReadonlySet<string>;
  /** Hashes whose bytes are on this elder's disk. */
  readonly stored: ReadonlySet<string>;
  /** Votes of this round, by voter; the first of each (N1). */
  readonly votes: ReadonlyMap<number, SignedVote>;
  /** Of each voter the one of the highest round. */
  readonly strongs: ReadonlyMap<number, SignedStrong>;
  readonly reports: ReadonlyMap<number, SignedReport>;
  readonly highest: Certificate | null;
  readonly said: Said;
  /** N9: verified statements that cite what we do not know to be valid, by `voter:phase`. */
  readonly waiting: ReadonlyMap<string, Waiting>;
  /** Voters whose equivocation was shown, and voters that cited an invalid proposal. */
  readonly convicted: ReadonlySet<number>;
  readonly distrusted: ReadonlySet<number>;
  /** Waits that run in this round. */
  readonly pacing: boolean;
  readonly lead: 'unset' | 'waiting' | 'over';
  /** How often own statements were repeated; `null` while there is nothing to repeat. */
  readonly repeats: number | null;
  /** How often `retry` came. */
  readonly retries: number;
}

export interface Waiting {
  readonly from: NodeId;
  readonly statement: Statement;
}

export type AgreementState =
  | OpenState
  | {
      readonly kind: 'decided';
      readonly decision: Decision;
      /** Elders known to hold it. */
      readonly informed: ReadonlySet<NodeId>;
      readonly repeats: number;
    }
  /** Sealed: only answers late voters (N11). Without a decision it was caught up by a seal. */
  | { readonly kind: 'closed'; readonly decision: Decision | null };

export type AgreementFact =
  /** N10: the exact message, the promise (round), the lock, and the proposals it makes us serve. */
  | {
      readonly kind: 'said';
      readonly round: number;
      readonly message: AgreementMessage;
      readonly highest: Certificate | null;
      readonly proposals: readonly Uint8Array[];
    }
  | { readonly kind: 'decided'; readonly decision: Decision };

export type AgreementFault =
  | {
      readonly kind: 'equivocation';
      readonly culprit: NodeId;
      readonly evidence: Equivocation;
    }
  /** A statement that cites an invalid proposal, by its signer. */
  | {
      readonly kind: 'invalidProposal';
      readonly culprit: NodeId;
      readonly statement: Statement;
      readonly proposal: Uint8Array;
    }
  /** A vote whose reports add up to another value. */
  | { readonly kind: 'wrongValue'; readonly culprit: NodeId; readonly statement: Statement }
  /** What only the carrier answers for: it sent what nobody may send. */
  | {
      readonly kind:
        | 'notElder'
        | 'notItsOwn'
        | 'invalidSignature'
        | 'invalidReports'
        | 'invalidCertificate'
        | 'invalidDecision'
        | 'uncitedProposal';
      readonly culprit: NodeId;
    };

export interface Agreement {
  readonly input:
    | { readonly kind: 'propose'; readonly proposal: Uint8Array }
    /** What these `later` proposals waited for may be held now; without `only` all are meant. */
    | { readonly kind: 'retry'; readonly only?: readonly Uint8Array[] }
    /** The generation is sealed: stop repeating, only answer (N11). */
    | { readonly kind: 'close' };
  readonly message: AgreementMessage;
  readonly fact: AgreementFact;
  readonly output: {
    readonly kind: 'decided';
    readonly proposals: readonly Uint8Array[];
    readonly certificate: DecisionCertificate;
  };
  readonly fault: AgreementFault;
  readonly timer: 'pace' | 'lead' | 'repeat';
  readonly job: { readonly kind: 'validate'; readonly proposal: Uint8Array };
  readonly result: { readonly kind: 'valid' | 'invalid' | 'later' };
}
