/**
 * What a section may decide. An act is a body, which says what is to happen, and endorsements,
 * which say that enough elders want it (N7). Two acts with one body are one act.
 */
import type { XorName } from '#address/xor-name.ts';
import type { Ready } from '#protocol/dkg/index.ts';
import type { Moving, SnapshotRoot } from '#protocol/section/index.ts';

export type ActBody = Join | Leave | Demote | Places | Handover | SealedSet;
export type ActKind = ActBody['kind'];

export interface Act {
  readonly body: ActBody;
  /** Sorted by elder, each once. Empty for acts that prove themselves. */
  readonly endorsements: readonly Endorsement[];
}

/** An elder's word that it wants an act in one generation (endorsement.ts). */
export interface Endorsement {
  /** 1…7. */
  readonly elder: number;
  /** 64 bytes, ed25519. */
  readonly signature: Uint8Array;
}

/** A node comes in: at the age of beginners on a place, or at its ticket's age. */
export interface Join {
  readonly kind: 'join';
  readonly name: XorName;
  /** 32 bytes: where dealings are sealed to while it sleeps (N12). */
  readonly sharingKey: Uint8Array;
  readonly ticket: TicketProof | null;
}

/** A relocation ticket with all that shows it to be this joiner's (N38). */
export interface TicketProof {
  /** What the source section decided; `moving.name` is the old name. */
  readonly moving: Moving;
  /** 96 bytes: the key of the source that signed. */
  readonly sourceKey: Uint8Array;
  readonly sourceEpoch: bigint;
  /** 48 bytes by `sourceKey`, purpose RELOCATION, over the ticket's bytes. */
  readonly signature: Uint8Array;
  /** 64 bytes: the new name, signed by the old one. */
  readonly nameSignature: Uint8Array;
}

/** A member that is gone, or should be. */
export interface Leave {
  readonly kind: 'leave';
  readonly name: XorName;
}

/** A member that works badly loses half its age and has to move. */
export interface Demote {
  readonly kind: 'demote';
  readonly name: XorName;
}

/** From now on so many joiners may still come (N39). */
export interface Places {
  readonly kind: 'places';
  readonly count: number;
}

/** The session is finished: its candidates hold a key (N19). */
export interface Handover {
  readonly kind: 'handover';
  /** 32 bytes. */
  readonly sessionId: Uint8Array;
  /**
   * One for each child of the session, in its order: the new key's own word that its candidates
   * hold it, and theirs that it is theirs (N13).
   */
  readonly ready: readonly Ready[];
}

/** What at least five elders held when the section stopped (N23). */
export interface SealedSet {
  readonly kind: 'sealedSet';
  /** Sorted by elder, each once. */
  readonly snapshots: readonly SignedSnapshot[];
  /** 32 bytes: root of what merging exactly these snapshots gives. */
  readonly sealedRoot: Uint8Array;
}

export interface SignedSnapshot extends SnapshotRoot {
  /** 64 bytes, ed25519 by the elder over `snapshotBytes`. */
  readonly signature: Uint8Array;
}
