/** What old and new elders say to each other while one key hands over. Nothing secret. */
import type { SealedPage } from '#money/snapshot.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type { SignedSuccessor } from '#protocol/section/index.ts';

/** An old elder's share of the old key's last signature. */
export interface SuccessorShare {
  /** 32 bytes: hash of the record it signs. */
  readonly record: Uint8Array;
  /** 48 bytes. */
  readonly signature: Uint8Array;
}

/** A new elder's word that it holds everything the old section sealed (N27). */
export interface Receipt {
  /** 0 or 1: which child of the record. */
  readonly child: number;
  /** 1…7 among the child's elders. */
  readonly elder: number;
  /** 64 bytes, ed25519 over {@link receiptBytes}. */
  readonly signature: Uint8Array;
}

export type HandoverMessage =
  /** All that the sender has to tell, or a part of it; anybody may carry it. */
  | {
      readonly kind: 'news';
      /** True when the sender is not finished: tell it what it lacks. */
      readonly wants: boolean;
      readonly roots: readonly SignedSnapshot[];
      /** The sender's own share. */
      readonly share: SuccessorShare | null;
      readonly successor: SignedSuccessor | null;
      readonly receipts: readonly Receipt[];
    }
  /** N23, N27: the entries of a snapshot, or of what was merged, from this place on; by its root. */
  | { readonly kind: 'askPage'; readonly root: Uint8Array; readonly start: number }
  | SnapshotPage;

export interface SnapshotPage extends SealedPage {
  readonly kind: 'page';
  readonly root: Uint8Array;
}

export type HandoverNews = HandoverMessage & { readonly kind: 'news' };
