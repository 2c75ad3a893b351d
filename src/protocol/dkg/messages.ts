/**
 * What travels in a key generation. Every part is signed by its author, so anyone may carry it;
 * candidates are named by their index, 1…7 in the session's sorted list. Nothing here is secret.
 */

/** "Seal shares for me to this key", signed for one session. */
export interface SignedKey {
  readonly candidate: number;
  /** A sharing key (ristretto255), 32 bytes. */
  readonly sharingKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** One candidate's polynomial, shared among all seven so that anybody can check it. */
export interface SignedDealing {
  readonly dealer: number;
  /** The keys it was sealed to, by candidate; null = the agreed key of the member record (N12). */
  readonly keys: readonly (SignedKey | null)[];
  /** Opaque here: a dealing of the suite. */
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** Per dealer 1…7 the hash of its dealing, or null; at least five. Their sum is a key (N13). */
export type DealingList = readonly (Uint8Array | null)[];

/** "I hold and checked these dealings; let their sum be the key." One per candidate. */
export interface SignedList {
  readonly candidate: number;
  readonly dealings: DealingList;
  readonly signature: Uint8Array;
}

/** "I can sign with the key of this list, and here I do." */
export interface Readiness {
  readonly candidate: number;
  /** 32 bytes: hash of the list. */
  readonly list: Uint8Array;
  /** 48 bytes, purpose READY, by the candidate's share of the new key. */
  readonly share: Uint8Array;
  /** 64 bytes, ed25519: vouches for the new key itself; five of them are in the proof. */
  readonly voucher: Uint8Array;
  /** 64 bytes, ed25519 over all of it: a wrong share has an author. */
  readonly signature: Uint8Array;
}

/** What the sender holds: the receiver answers with what is lacking. */
export interface Holding {
  /** Counts the sender's asks: the same thing is sent at most once per ask. */
  readonly tick: number;
  /** Bit i − 1 stands for candidate i. */
  readonly keys: number;
  readonly lists: number;
  readonly readiness: readonly { readonly list: Uint8Array; readonly candidates: number }[];
}

/** "Send me a dealing of this dealer": this very one, or any when the hash is null. */
export interface Want {
  readonly dealer: number;
  readonly hash: Uint8Array | null;
}

export type DkgMessage =
  /** Anti-entropy; dealings are wanted from two candidates at a time only. */
  | {
      readonly kind: 'status';
      readonly sessionId: Uint8Array;
      readonly holding: Holding;
      readonly wants: readonly Want[];
    }
  | {
      readonly kind: 'parts';
      readonly sessionId: Uint8Array;
      readonly holding: Holding;
      readonly keys: readonly SignedKey[];
      readonly lists: readonly SignedList[];
      readonly readiness: readonly Readiness[];
    }
  /** About 48 kB: never two in one message. */
  | {
      readonly kind: 'dealing';
      readonly sessionId: Uint8Array;
      readonly holding: Holding;
      readonly dealing: SignedDealing;
    };
