/**
 * The parts of a key generation. Each is signed by its author, so any candidate may relay it.
 * A candidate is identified by its index, 1…7 in the session's sorted list. Nothing here is secret.
 */

/** A candidate's encryption key for shares, signed for one session. */
export interface SignedKey {
  readonly candidate: number;
  /** A sharing key (ristretto255), 32 bytes. */
  readonly sharingKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** One candidate's polynomial, publicly verifiable, with a share encrypted to each of the seven. */
export interface SignedDealing {
  readonly dealer: number;
  /** The keys it was encrypted to, by candidate; null = the member record's fallback key (N12). */
  readonly keys: readonly (SignedKey | null)[];
  /** Opaque here: a dealing of the suite. */
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** Per dealer 1…7 the hash of its dealing, or null; at least five. Their sum is a key (N13). */
export type DealingList = readonly (Uint8Array | null)[];

/** Proposes dealings whose sum is the key; the proposer verified all. One list per candidate. */
export interface ProposedList {
  readonly candidate: number;
  readonly dealings: DealingList;
  readonly signature: Uint8Array;
}

/** A signature by the candidate's share of a list's key, which proves that it can sign. */
export interface SignedReadiness {
  readonly candidate: number;
  /** 32 bytes: hash of the list. */
  readonly list: Uint8Array;
  /** 48 bytes, purpose READY, by the candidate's share of the new key. */
  readonly share: Uint8Array;
  /** 64 bytes, ed25519 over the new key's `readyBytes`; the proof contains five. */
  readonly voucher: Uint8Array;
  /** 64 bytes, ed25519 over all fields, so that a wrong share can be blamed. */
  readonly signature: Uint8Array;
}

/** The parts the sender holds: the receiver answers with missing ones. */
export interface DkgInventory {
  /** Counts the sender's requests: each part is sent at most once per tick. */
  readonly tick: number;
  /** Bit i − 1 is candidate i. */
  readonly keys: number;
  readonly lists: number;
  readonly readiness: readonly { readonly list: Uint8Array; readonly candidates: number }[];
}

/** Requests this dealing of the dealer, or any when the hash is null. */
export interface Want {
  readonly dealer: number;
  readonly hash: Uint8Array | null;
}

export type DkgMessage =
  /** Anti-entropy; only two candidates at a time are asked for dealings. */
  | {
      readonly kind: 'status';
      readonly sessionId: Uint8Array;
      readonly inventory: DkgInventory;
      readonly wants: readonly Want[];
    }
  | {
      readonly kind: 'parts';
      readonly sessionId: Uint8Array;
      readonly inventory: DkgInventory;
      readonly keys: readonly SignedKey[];
      readonly lists: readonly ProposedList[];
      readonly readiness: readonly SignedReadiness[];
    }
  /** About 48 kB: one per message. */
  | {
      readonly kind: 'dealing';
      readonly sessionId: Uint8Array;
      readonly inventory: DkgInventory;
      readonly dealing: SignedDealing;
    };
