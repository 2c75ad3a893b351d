/** What travels between a client and one elder about one slot. Plain data, nothing secret. */
import type { Certificate, Source } from '#money/certificate.ts';
import type { SealedPath } from '#money/sealed.ts';

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
      /** 32 bytes: hash of the section key that is asked to sign. */
      readonly section: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly sources: readonly Source[];
    }
  /** R2: reissue. One prepared certificate per input, in order. */
  | {
      readonly kind: 'commit';
      readonly request: Uint8Array;
      readonly section: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly prepared: readonly Certificate[];
    }
  /** N34: what did that epoch's sealed root say of this slot? Any elder that inherited it knows. */
  | {
      readonly kind: 'prove';
      readonly request: Uint8Array;
      readonly slot: Uint8Array;
      readonly epoch: bigint;
    };

/** An elder that does not speak for the key it was asked for names the key it speaks for. */
export interface KeyHint {
  readonly request: Uint8Array;
  /** 96 bytes; proves nothing: a hint to look for news. */
  readonly key: Uint8Array;
  readonly epoch: bigint;
}

/** A certificate this elder cannot judge: its bearer or the elder itself is behind (N34). */
export interface Unproven {
  readonly request: Uint8Array;
  /** The slot and epoch of the certificate. */
  readonly slot: Uint8Array;
  readonly epoch: bigint;
}

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
  /** R6: an earlier epoch bound the slot to this transaction, as its sealed root shows. */
  | {
      readonly kind: 'bound';
      readonly request: Uint8Array;
      readonly epoch: bigint;
      readonly path: SealedPath;
      readonly transaction: Uint8Array;
    }
  /** R6, N22: this key signs nothing more. */
  | ({ readonly kind: 'sealed' } & KeyHint)
  /** Asked for another key than this elder's. */
  | ({ readonly kind: 'otherKey' } & KeyHint)
  | ({ readonly kind: 'unproven' } & Unproven)
  /** Answers `prove`; null when that root says nothing of the slot. */
  | {
      readonly kind: 'proof';
      readonly request: Uint8Array;
      readonly txid: Uint8Array;
      readonly path: SealedPath | null;
    }
  | { readonly kind: 'malformed'; readonly request: Uint8Array; readonly what: string }
  | { readonly kind: 'notAllowed'; readonly request: Uint8Array; readonly rule: string }
  | { readonly kind: 'busy'; readonly request: Uint8Array; readonly afterMs: number };

export type SpentbookMessage = SpentbookRequest | SpentbookAnswer;

export const isSpentbookAnswer = (message: SpentbookMessage): message is SpentbookAnswer =>
  message.kind !== 'prepare' && message.kind !== 'commit' && message.kind !== 'prove';
