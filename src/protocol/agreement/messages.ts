/** What elders say to each other about one generation. Plain data, nothing secret. */

/** SHA-256 hashes of proposals in byte order, at least one, each once. */
export type Value = readonly Uint8Array[];

/** Five equal votes of one round: the permission to be strong for that value (N1). */
export interface Certificate {
  readonly round: number;
  readonly value: Value;
  readonly votes: readonly {
    /** Position in the sorted list of elders, from 0. */
    readonly voter: number;
    /** Digest of the reports this vote named. */
    readonly reports: Uint8Array;
    readonly signature: Uint8Array;
  }[];
}

/** NEW (N2): "I say nothing more below this round; this is the highest lock, this is all I saw". */
export interface SignedReport {
  readonly voter: number;
  /** The round that is entered, ≥ 1. */
  readonly round: number;
  readonly highest: Certificate | null;
  readonly proposals: Value;
  readonly signature: Uint8Array;
}

/** VOTE (N1): in round 0 what the voter offers or adopts, later what its reports add up to. */
export interface SignedVote {
  readonly voter: number;
  readonly round: number;
  readonly value: Value;
  /** Five or more reports of this round, one per elder; none in round 0. */
  readonly reports: readonly SignedReport[];
  readonly signature: Uint8Array;
}

/** SM (N1): "five of us voted for this in that round". */
export interface SignedStrong {
  readonly voter: number;
  readonly certificate: Certificate;
  readonly signature: Uint8Array;
}

/** Five equal strong statements of one round. Anyone can check it. */
export interface DecisionCertificate {
  readonly round: number;
  readonly strongs: readonly { readonly voter: number; readonly signature: Uint8Array }[];
}

export interface Decision {
  /** In the order of their hashes. */
  readonly proposals: readonly Uint8Array[];
  readonly certificate: DecisionCertificate;
}

export type AgreementMessage = { readonly generation: bigint } & (
  | {
      readonly kind: 'vote';
      readonly vote: SignedVote;
      /** Proposals the voter itself offers, to save a question; each one is in the value. */
      readonly proposals: readonly Uint8Array[];
    }
  | { readonly kind: 'strong'; readonly strong: SignedStrong }
  /** One's own report, and those of others that belong to the same round. */
  | { readonly kind: 'reports'; readonly reports: readonly SignedReport[] }
  /** N9: the proposals that somebody's statement cites and the asker does not hold. */
  | { readonly kind: 'ask'; readonly hashes: readonly Uint8Array[] }
  | { readonly kind: 'proposals'; readonly proposals: readonly Uint8Array[] }
  | { readonly kind: 'decision'; readonly decision: Decision }
);

export type Statement =
  | { readonly kind: 'vote'; readonly vote: SignedVote }
  | { readonly kind: 'strong'; readonly strong: SignedStrong }
  | { readonly kind: 'report'; readonly report: SignedReport };

export type StatementPhase = Statement['kind'];

/** N5: one elder, one round, one phase, two bodies. Convicts without further context. */
export interface Equivocation {
  readonly voter: number;
  readonly round: number;
  readonly phase: StatementPhase;
  readonly first: { readonly body: Uint8Array; readonly signature: Uint8Array };
  readonly second: { readonly body: Uint8Array; readonly signature: Uint8Array };
}
