/** What travels between a client and one elder about one slot. Plain data, nothing secret. */
import type { Certificate, Source } from '#money/certificate.ts';

/** An elder's word, in its own name, that it voted for this txid; two for one ballot convict it. */
export interface SignedVote {
  /** Its ed25519 public key. */
  readonly elder: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
  readonly signature: Uint8Array;
}

/** `request` (16 bytes, chosen by the client) comes back in the answer. */
export type SpentbookRequest =
  /** R1: write this spend into the slot. One source per input, in order. */
  | {
      readonly kind: 'prepare';
      readonly request: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly sources: readonly Source[];
    }
  /** R2: reissue. One prepared certificate per input, in order. */
  | {
      readonly kind: 'commit';
      readonly request: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly prepared: readonly Certificate[];
    };

export type SpentbookAnswer =
  /** This elder's share of the prepared certificate; its index is known by who sends it. */
  | { readonly kind: 'prepared'; readonly request: Uint8Array; readonly share: Uint8Array }
  /** This elder's share of the commit certificate. */
  | { readonly kind: 'committed'; readonly request: Uint8Array; readonly share: Uint8Array }
  /** R7: the slot is decided; the proof is this slot's commit certificate for that transaction. */
  | {
      readonly kind: 'spent';
      readonly request: Uint8Array;
      readonly transaction: Uint8Array;
      readonly certificate: Certificate;
    }
  /** R1: this elder voted for another transaction. */
  | {
      readonly kind: 'conflict';
      readonly request: Uint8Array;
      readonly vote: SignedVote;
      readonly transaction: Uint8Array;
    }
  | { readonly kind: 'malformed'; readonly request: Uint8Array; readonly what: string }
  | { readonly kind: 'notAllowed'; readonly request: Uint8Array; readonly rule: string }
  | { readonly kind: 'busy'; readonly request: Uint8Array; readonly afterMs: number };

export type SpentbookMessage = SpentbookRequest | SpentbookAnswer;
