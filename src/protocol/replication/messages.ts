/** What storing nodes say to each other about what they keep. Bytes never travel in these. */
import type { Item, ItemId, Stamp } from './items.ts';

/** One thing a holder is asked to prove. */
export interface Question {
  readonly item: Item;
  /** 32 fresh bytes. */
  readonly nonce: Uint8Array;
}

export type ReplicationMessage =
  /** "What do you have that I have to keep?" The answer goes on after this id, '' to begin. */
  | { readonly kind: 'list'; readonly stamp: Stamp; readonly after: ItemId }
  | {
      readonly kind: 'listing';
      /** The state by which the answer was made. */
      readonly stamp: Stamp;
      /** Repeats the question. */
      readonly after: ItemId;
      readonly items: readonly Item[];
      /** Where to go on; `null` at the end. */
      readonly next: ItemId | null;
    }
  /** "Prove that you have these." Who asks because of a surplus copy offers it at the same time. */
  | {
      readonly kind: 'confirm';
      readonly stamp: Stamp;
      readonly offered: boolean;
      readonly questions: readonly Question[];
    }
  | {
      readonly kind: 'confirmed';
      readonly stamp: Stamp;
      /** With the version and the body that the holder has. */
      readonly item: Item;
      readonly nonce: Uint8Array;
      /** 32 bytes (N42). */
      readonly proof: Uint8Array;
      /** 64 bytes over `confirmationBytes`. */
      readonly signature: Uint8Array;
    }
  /** "I should have it and do not" or, with `holder: false`, "by my state it is not for me". */
  | {
      readonly kind: 'lacking';
      readonly stamp: Stamp;
      readonly item: Item;
      readonly nonce: Uint8Array;
      readonly holder: boolean;
    }
  /** Its disk is full, or has room again. The highest counter of a sender counts. */
  | { readonly kind: 'fullness'; readonly counter: bigint; readonly full: boolean }
  /** From an elder: a write reached too few holders; fetch it from the others. */
  | { readonly kind: 'repair'; readonly stamp: Stamp; readonly items: readonly Item[] };
