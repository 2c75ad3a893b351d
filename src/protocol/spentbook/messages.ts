/** Messages between a client and one elder about one slot. Plain data, nothing secret. */
import type { SpendCertificate, InputSource } from '#money/spend-certificate.ts';
import type { InclusionProof } from '#money/inclusion-proof.ts';

/** An elder's vote for this txid, signed with its own key; two for one ballot prove equivocation. */
export interface SignedPrepareVote {
  /** Its ed25519 public key. */
  readonly elder: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * SPENTBOOK-R3: what an elder signs when it promises a ballot. Two different ones for one ballot, or one that
 * hides a COMMIT share of a lower ballot, prove that it lied.
 */
export interface SignedReport {
  /** Its ed25519 public key. */
  readonly elder: Uint8Array;
  /** It signs nothing below this ballot any more. */
  readonly ballot: number;
  /** Its highest PREPARE certificate of this slot, below the ballot; null if it has none. */
  readonly highest: { readonly ballot: number; readonly txid: Uint8Array } | null;
  readonly signature: Uint8Array;
}

/** SPENTBOOK-R3: why a transaction may be prepared at a ballot above 0. */
export interface Recovery {
  /** Five, of different elders, for this ballot. */
  readonly reports: readonly SignedReport[];
  /** The PREPARE certificate of the highest claim, null without any claim. */
  readonly top: SpendCertificate | null;
}

/** `request` (16 bytes, chosen by the client) is repeated in the answer. */
export type SpentbookRequest =
  /** SPENTBOOK-R1: prepare this transaction in the slot. One source per input, in order. */
  | {
      readonly kind: 'prepare';
      readonly request: Uint8Array;
      /** 32 bytes: hash of the section key that the request addresses. */
      readonly section: Uint8Array;
      readonly slot: Uint8Array;
      readonly ballot: number;
      readonly transaction: Uint8Array;
      readonly sources: readonly InputSource[];
      /** Null exactly at ballot 0. */
      readonly recovery: Recovery | null;
    }
  /** SPENTBOOK-R2: commit. One PREPARE certificate per input, in order. */
  | {
      readonly kind: 'commit';
      readonly request: Uint8Array;
      readonly section: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly prepared: readonly SpendCertificate[];
    }
  /**
   * SPENTBOOK-R3: the owner of the coin asks for a promise and a report. The transaction is one that spends
   * the coin, and `signature` is by its recovery key over `recoverBytes`.
   */
  | {
      readonly kind: 'recover';
      readonly request: Uint8Array;
      readonly section: Uint8Array;
      readonly slot: Uint8Array;
      /** 1 or more. */
      readonly ballot: number;
      readonly transaction: Uint8Array;
      /** One per input; may be empty for a transaction that the elder voted for. */
      readonly sources: readonly InputSource[];
      readonly signature: Uint8Array;
    }
  /**
   * N34: requests the slot's inclusion proof under that epoch's sealed root. Any elder that
   * inherited it can answer.
   */
  | {
      readonly kind: 'prove';
      readonly request: Uint8Array;
      readonly slot: Uint8Array;
      readonly epoch: bigint;
    };

/** Sent by an elder of another key than the requested one: the key it holds. */
export interface KeyHint {
  readonly request: Uint8Array;
  /** 96 bytes; not a proof, only a hint to look for an update. */
  readonly key: Uint8Array;
  readonly epoch: bigint;
}

/** A certificate this elder cannot verify: the client or this elder lacks an update (N34). */
export interface UnknownEpoch {
  readonly request: Uint8Array;
  /** The slot and epoch of the certificate. */
  readonly slot: Uint8Array;
  readonly epoch: bigint;
}

/** SPENTBOOK-R4: the ballot is signed, so a share fits only the requests of its ballot. */
interface BallotShare {
  readonly request: Uint8Array;
  readonly ballot: number;
  readonly share: Uint8Array;
}

export type SpentbookAnswer =
  /** This elder's share of the PREPARE certificate; the sender determines the share's index. */
  | ({ readonly kind: 'prepared' } & BallotShare)
  /** This elder's share of the commit certificate. */
  | ({ readonly kind: 'committed' } & BallotShare)
  /** SPENTBOOK-R3: this elder's promise. What it claims is proven by its bundle; the vote is advice only. */
  | {
      readonly kind: 'report';
      readonly request: Uint8Array;
      readonly report: SignedReport;
      /** The transaction of `report.highest`, and the PREPARE certificates of all its inputs. */
      readonly bundle: {
        readonly transaction: Uint8Array;
        readonly prepared: readonly SpendCertificate[];
      } | null;
      /** Its vote at the highest ballot. */
      readonly vote: {
        readonly signed: SignedPrepareVote;
        readonly transaction: Uint8Array;
      } | null;
    }
  /** SPENTBOOK-R3: this elder has promised a higher ballot, or refuses to jump so far. Unsigned: a hint. */
  | { readonly kind: 'promised'; readonly request: Uint8Array; readonly ballot: number }
  /** SPENTBOOK-R7: the slot is decided; `certificate` is this slot's commit certificate for that transaction. */
  | {
      readonly kind: 'spent';
      readonly request: Uint8Array;
      readonly transaction: Uint8Array;
      readonly certificate: SpendCertificate;
    }
  /** SPENTBOOK-R1: this elder voted for another transaction. */
  | {
      readonly kind: 'conflict';
      readonly request: Uint8Array;
      readonly vote: SignedPrepareVote;
      readonly transaction: Uint8Array;
    }
  /** SPENTBOOK-R6: an earlier epoch bound the slot to this transaction, as its sealed root proves. */
  | {
      readonly kind: 'bound';
      readonly request: Uint8Array;
      readonly epoch: bigint;
      readonly inclusion: InclusionProof;
      readonly transaction: Uint8Array;
    }
  /** SPENTBOOK-R6, N22: this key makes no more signatures. */
  | ({ readonly kind: 'sealed' } & KeyHint)
  /** The request addresses another key than this elder's. */
  | ({ readonly kind: 'wrongKey' } & KeyHint)
  | ({ readonly kind: 'unproven' } & UnknownEpoch)
  /** Answers `prove`; null if that root does not contain the slot. */
  | {
      readonly kind: 'proof';
      readonly request: Uint8Array;
      readonly txid: Uint8Array;
      readonly inclusion: InclusionProof | null;
    }
  | { readonly kind: 'malformed'; readonly request: Uint8Array; readonly what: string }
  | { readonly kind: 'notAllowed'; readonly request: Uint8Array; readonly rule: string }
  | { readonly kind: 'busy'; readonly request: Uint8Array; readonly afterMs: number };

export type SpentbookMessage = SpentbookRequest | SpentbookAnswer;

export const isSpentbookAnswer = (message: SpentbookMessage): message is SpentbookAnswer =>
  message.kind !== 'prepare' &&
  message.kind !== 'commit' &&
  message.kind !== 'recover' &&
  message.kind !== 'prove';
