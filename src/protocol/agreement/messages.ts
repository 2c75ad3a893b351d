/** Messages between the elders about one generation. Plain data, nothing secret. */

/** SHA-256 hashes of proposals in byte order, at least one, each once. */
export type Value = readonly Uint8Array[];

/**
 * Quorum certificate (N1): five equal prevotes of one round, which permit a precommit for the
 * value.
 */
export interface QuorumCertificate {
  readonly round: number;
  readonly value: Value;
  readonly prevotes: readonly {
    /** Position in the sorted list of elders, from 0. */
    readonly voter: number;
    /** Digest of the round changes this prevote names. */
    readonly roundChangesDigest: Uint8Array;
    readonly signature: Uint8Array;
  }[];
}

/**
 * Round change (N2): leaves all lower rounds; carries the highest lock and the valid proposals
 * seen.
 */
export interface RoundChange {
  readonly voter: number;
  /** The round being entered, ≥ 1. */
  readonly round: number;
  readonly highest: QuorumCertificate | null;
  readonly proposals: Value;
  readonly signature: Uint8Array;
}

/**
 * Prevote (N1): in round 0 for the voter's valid proposals, later for the value its round changes
 * imply.
 */
export interface Prevote {
  readonly voter: number;
  readonly round: number;
  readonly value: Value;
  /** Five or more round changes of this round, one per elder; none in round 0. */
  readonly roundChanges: readonly RoundChange[];
  readonly signature: Uint8Array;
}

/** Precommit (N1): the voter holds a quorum certificate for this value. */
export interface Precommit {
  readonly voter: number;
  readonly certificate: QuorumCertificate;
  readonly signature: Uint8Array;
}

/** Five equal precommits of one round. Anyone can verify it. */
export interface DecisionCertificate {
  readonly round: number;
  readonly precommits: readonly { readonly voter: number; readonly signature: Uint8Array }[];
}

export interface Decision {
  /** In the order of their hashes. */
  readonly proposals: readonly Uint8Array[];
  readonly certificate: DecisionCertificate;
}

export type AgreementMessage = { readonly generation: bigint } & (
  | {
      readonly kind: 'prevote';
      readonly prevote: Prevote;
      /** The voter's own proposals, to save a request; each one is in the value. */
      readonly proposals: readonly Uint8Array[];
    }
  | { readonly kind: 'precommit'; readonly precommit: Precommit }
  /** The sender's round change, and those of other elders for the same round. */
  | { readonly kind: 'roundChanges'; readonly roundChanges: readonly RoundChange[] }
  /** N9: requests proposals that a statement cites and the sender of this message lacks. */
  | { readonly kind: 'requestProposals'; readonly hashes: readonly Uint8Array[] }
  | { readonly kind: 'proposals'; readonly proposals: readonly Uint8Array[] }
  | { readonly kind: 'decision'; readonly decision: Decision }
);

export type Statement =
  | { readonly kind: 'prevote'; readonly prevote: Prevote }
  | { readonly kind: 'precommit'; readonly precommit: Precommit }
  | { readonly kind: 'roundChange'; readonly roundChange: RoundChange };

export type StatementPhase = Statement['kind'];

/** N5: one elder, one round, one phase, two bodies. Proves misbehaviour without further context. */
export interface Equivocation {
  readonly voter: number;
  readonly round: number;
  readonly phase: StatementPhase;
  readonly first: { readonly body: Uint8Array; readonly signature: Uint8Array };
  readonly second: { readonly body: Uint8Array; readonly signature: Uint8Array };
}
