/** Messages between storing nodes. None of them contains an item's bytes. */
import type { StateRef } from '#data/storage-receipt.ts';
import type { Item, ItemId } from './items.ts';

/** A request to prove possession of one item. */
export interface PossessionChallenge {
  readonly item: Item;
  /** 32 fresh bytes. */
  readonly nonce: Uint8Array;
}

export type ReplicationMessage =
  /** Requests items the sender must store, after this id; '' to begin. */
  | { readonly kind: 'list'; readonly stateRef: StateRef; readonly after: ItemId }
  | {
      readonly kind: 'listing';
      /** The state the answer is based on. */
      readonly stateRef: StateRef;
      /** Copied from the request. */
      readonly after: ItemId;
      readonly items: readonly Item[];
      /** The cursor for the next page; `null` at the end. */
      readonly next: ItemId | null;
    }
  /** Challenges a holder; with `offered`, the sender also offers its surplus copies. */
  | {
      readonly kind: 'confirm';
      readonly stateRef: StateRef;
      readonly offered: boolean;
      readonly challenges: readonly PossessionChallenge[];
    }
  | {
      readonly kind: 'confirmed';
      readonly stateRef: StateRef;
      /** With the version and digest the holder stores. */
      readonly item: Item;
      readonly nonce: Uint8Array;
      /** 32 bytes (N42). */
      readonly proof: Uint8Array;
      /** 64 bytes over `confirmationBytes`. */
      readonly signature: Uint8Array;
    }
  /** The item is not here; `holder`: whether the receiver is a holder by its own state. */
  | {
      readonly kind: 'missing';
      readonly stateRef: StateRef;
      readonly item: Item;
      readonly nonce: Uint8Array;
      readonly holder: boolean;
    }
  /** The disk is full, or has room again. The highest counter of a sender is valid. */
  | { readonly kind: 'diskFull'; readonly counter: bigint; readonly full: boolean }
  /** From an elder: a write reached too few holders; fetch it from the others. */
  | { readonly kind: 'repair'; readonly stateRef: StateRef; readonly items: readonly Item[] };
