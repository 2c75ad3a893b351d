/** Messages between old and new elders during the handover of one key. Nothing secret. */
import type { ProvenPage } from '#money/snapshot.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type { SignedSuccessor } from '#protocol/section/index.ts';

/** An old elder's share of the old key's signature over the successor record. */
export interface SuccessorShare {
  /** 32 bytes: hash of the record it signs. */
  readonly record: Uint8Array;
  /** 48 bytes. */
  readonly signature: Uint8Array;
}

/** A new elder's receipt for everything the old section sealed (N27). */
export interface InheritanceReceipt {
  /** 0 or 1: which child of the record. */
  readonly child: number;
  /** 1…7 among the child's elders. */
  readonly elder: number;
  /** 64 bytes, ed25519 over {@link inheritanceReceiptBytes}. */
  readonly signature: Uint8Array;
}

export type HandoverMessage =
  /** Progress: all the sender knows, or a part of it. Any peer may forward it. */
  | {
      readonly kind: 'progress';
      /** True when the sender is not finished: the receiver answers with all it has. */
      readonly incomplete: boolean;
      readonly roots: readonly SignedSnapshot[];
      /** The sender's own share. */
      readonly share: SuccessorShare | null;
      readonly successor: SignedSuccessor | null;
      readonly receipts: readonly InheritanceReceipt[];
    }
  /** N23, N27: requests the entries of a snapshot or merged list from this index on, by its root. */
  | { readonly kind: 'requestPage'; readonly root: Uint8Array; readonly start: number }
  | SnapshotPage;

export interface SnapshotPage extends ProvenPage {
  readonly kind: 'page';
  readonly root: Uint8Array;
}

export type HandoverProgress = HandoverMessage & { readonly kind: 'progress' };
