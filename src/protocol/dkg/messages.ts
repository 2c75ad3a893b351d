/**
 * What travels in a key generation. Every part is signed by its author, so anyone may carry it;
 * candidates are named by their index, 1…7 in the session's sorted list. Nothing here is secret,
 * except the box secret of a complaint, which gives up a session that is lost anyway.
 */

/** "Seal shares for me to this key", signed for one session. */
export interface SignedKey {
  readonly candidate: number;
  /** X25519, 32 bytes. */
  readonly boxKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** One candidate's polynomial: committed for all, its seven values sealed one by one. */
export interface SignedDealing {
  readonly dealer: number;
  /** The seven keys it was sealed to, by candidate. */
  readonly keys: readonly SignedKey[];
  /** Cₖ = aₖ·g₂ for k = 0…4, 96 bytes each. */
  readonly commitment: readonly Uint8Array[];
  /** f(i) for candidate i = 1…7, 80 bytes each. */
  readonly sealedShares: readonly Uint8Array[];
  readonly signature: Uint8Array;
}

/** "I hold a share of each of these dealings that fits its commitment." */
export interface SignedAck {
  readonly candidate: number;
  /** Hash of the dealing of dealer 1…7. */
  readonly dealings: readonly Uint8Array[];
  readonly signature: Uint8Array;
}

/** "This dealing gave me no share": my box secret lets everybody see for themselves. */
export interface SignedComplaint {
  readonly candidate: number;
  readonly dealing: SignedDealing;
  readonly boxSecret: Uint8Array;
  readonly signature: Uint8Array;
}

export type DkgMessage =
  | {
      readonly kind: 'parts';
      readonly sessionId: Uint8Array;
      readonly keys: readonly SignedKey[];
      readonly dealings: readonly SignedDealing[];
      readonly acks: readonly SignedAck[];
      readonly complaints: readonly SignedComplaint[];
    }
  /** Anti-entropy: "this is what I hold; send me what I lack." */
  | {
      readonly kind: 'status';
      readonly sessionId: Uint8Array;
      /** Bit i − 1 stands for candidate i. */
      readonly keys: number;
      /** Hash of the dealing held of dealer 1…7, or null. */
      readonly dealings: readonly (Uint8Array | null)[];
      readonly acks: number;
    };
