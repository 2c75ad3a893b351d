/**
 * What a section may decide. An act (a replicated command) is a body and endorsements, which show
 * that enough elders want it (N7). Two acts with one body are one act.
 */
import type { XorName } from '#address/xor-name.ts';
import type { ReadinessProof } from '#protocol/dkg/index.ts';
import type { RelocationDetails, SnapshotRoot } from '#protocol/section/index.ts';

export type ActBody = JoinAct | LeaveAct | DemoteAct | VacanciesAct | HandoverAct | SealedSetAct;
export type ActKind = ActBody['kind'];

export interface Act {
  readonly body: ActBody;
  /** Sorted by elder, each once. Empty for acts that prove themselves. */
  readonly endorsements: readonly Endorsement[];
}

/** An elder's signed endorsement of an act in one generation (endorsement.ts). */
export interface Endorsement {
  /** 1…7. */
  readonly elder: number;
  /** 64 bytes, ed25519. */
  readonly signature: Uint8Array;
}

/** A node joins: at age 5 on a vacancy, or at the age in its relocation certificate. */
export interface JoinAct {
  readonly kind: 'join';
  readonly name: XorName;
  /** 32 bytes: the key to which dealings are encrypted while the node is offline (N12). */
  readonly sharingKey: Uint8Array;
  readonly certificate: RelocationCertificate | null;
}

/** A relocation certificate, with the proof that it belongs to this joiner (N38). */
export interface RelocationCertificate {
  /** What the source section decided; `relocation.name` is the old name. */
  readonly relocation: RelocationDetails;
  /** 96 bytes: the key of the source that signed. */
  readonly sourceKey: Uint8Array;
  readonly sourceEpoch: bigint;
  /** 48 bytes by `sourceKey`, purpose RELOCATION, over `relocationBytes`. */
  readonly signature: Uint8Array;
  /** 64 bytes: the new name, signed by the old one. */
  readonly nameSignature: Uint8Array;
}

/** Removes a member. */
export interface LeaveAct {
  readonly kind: 'leave';
  readonly name: XorName;
}

/** A member that works badly is relocated at half its age. */
export interface DemoteAct {
  readonly kind: 'demote';
  readonly name: XorName;
}

/** Sets the number of joiners without certificate that may still be admitted (N39). */
export interface VacanciesAct {
  readonly kind: 'vacancies';
  readonly count: number;
}

/** The session is finished: its candidates hold a key (N19). */
export interface HandoverAct {
  readonly kind: 'handover';
  /** 32 bytes. */
  readonly sessionId: Uint8Array;
  /**
   * One per child of the session, in its order: the new key's signature and five candidates'
   * vouchers show that the candidates hold the key (N13).
   */
  readonly ready: readonly ReadinessProof[];
}

/** The snapshots of at least five elders at the end of a key, and their merged root (N23). */
export interface SealedSetAct {
  readonly kind: 'sealedSet';
  /** Sorted by elder, each once. */
  readonly snapshots: readonly SignedSnapshot[];
  /** 32 bytes: root of the list that results from merging exactly these snapshots. */
  readonly sealedRoot: Uint8Array;
}

export interface SignedSnapshot extends SnapshotRoot {
  /** 64 bytes, ed25519 by the elder over `snapshotBytes`. */
  readonly signature: Uint8Array;
}
