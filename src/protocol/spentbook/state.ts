/** One slot at one elder: its configuration, what it remembers, and the words it uses. */
import type { NodeId } from '#core/machine.ts';
import type { Certificate, MoneySection, SectionKeys, Source } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import type { SealedPath } from '#money/sealed.ts';
import type { SpentbookMessage, SpentbookRequest } from './messages.ts';

export interface SpentbookConfig {
  /** This elder's name: its ed25519 public key. */
  readonly name: Uint8Array;
  readonly section: MoneySection;
  /** All keys this elder knows, its own section's among them. */
  readonly known: SectionKeys;
  /** What earlier epochs wrote, by hex of the slot. */
  readonly inherited: { readonly get: (slot: string) => InheritedSlot | undefined };
  /** R6: true from the moment the section stopped; no share is made or repeated any more. */
  readonly sealed: boolean;
  /** This elder's share of the section key, 32 bytes. */
  readonly secretShare: Uint8Array;
  /** Signs votes that are shown as evidence. */
  readonly identitySeed: Uint8Array;
  readonly identity: IdentitySuite;
}

/** One epoch's word about a slot, with the path to its sealed root. */
export interface SealedWord {
  readonly epoch: bigint;
  readonly path: SealedPath;
}

/** What the sealed roots of earlier epochs say of a slot; the txid is the same in all of them. */
export type InheritedSlot =
  | {
      readonly kind: 'bound';
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      /** Oldest first, at least one. */
      readonly words: readonly SealedWord[];
    }
  | {
      readonly kind: 'decided';
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      readonly words: readonly SealedWord[];
      /** The commit certificate of this slot, its path with it. */
      readonly certificate: Certificate;
    };

/** A spend this elder signed, with the exact bytes and the exact share. */
export interface Written {
  readonly slot: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
  readonly share: Uint8Array;
}

export interface Bundle extends Written {
  /** The prepared certificate of every input: whoever holds them may finish the payment. */
  readonly prepared: readonly Certificate[];
}

export interface Decision {
  readonly slot: Uint8Array;
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
  /** The commit certificate of this slot. */
  readonly certificate: Certificate;
}

/** Knowledge only grows: open → voted → bundled → decided, any step may be skipped (R7). */
export type SlotRecord =
  | { readonly kind: 'open' }
  | { readonly kind: 'voted'; readonly vote: Written }
  | { readonly kind: 'bundled'; readonly vote: Written | null; readonly bundle: Bundle }
  | { readonly kind: 'decided'; readonly decision: Decision };

export interface SpentbookState {
  readonly record: SlotRecord;
  /** Requests whose job is running, by job id. */
  readonly pending: ReadonlyMap<
    string,
    { readonly from: NodeId; readonly request: SpentbookRequest }
  >;
  readonly jobsStarted: number;
}

export type SpentbookFact =
  | { readonly kind: 'voted'; readonly vote: Written }
  | { readonly kind: 'bundled'; readonly bundle: Bundle }
  | { readonly kind: 'decided'; readonly decision: Decision };

/** Evidence is the request itself: any honest elder finds the same. */
export interface SpentbookFault {
  readonly kind: 'invalidRequest';
  readonly culprit: NodeId;
  readonly what: string;
  readonly request: SpentbookRequest;
}

export type SpentbookJob =
  | {
      readonly kind: 'prepare';
      readonly section: MoneySection;
      readonly secretShare: Uint8Array;
      readonly ballot: number;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly sources: readonly Source[];
      readonly known: SectionKeys;
      /** The transaction the slot is bound to: five elders of an earlier epoch verified it. */
      readonly bound: Uint8Array | null;
    }
  | {
      readonly kind: 'commit';
      readonly section: MoneySection;
      readonly secretShare: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly prepared: readonly Certificate[];
      readonly known: SectionKeys;
    };

export type SpentbookResult =
  | {
      readonly kind: 'shared';
      readonly ballot: number;
      readonly txid: Uint8Array;
      readonly share: Uint8Array;
    }
  /** Nobody's fault: who asks, or this elder, has not heard of a handover yet. */
  | { readonly kind: 'unproven'; readonly slot: Uint8Array; readonly epoch: bigint }
  | { readonly kind: 'refused'; readonly what: string };

export interface Spentbook {
  /** From this elder's own mint, which has verified the certificate. */
  readonly input: { readonly kind: 'settle'; readonly decision: Decision };
  readonly message: SpentbookMessage;
  readonly fact: SpentbookFact;
  readonly output: { readonly kind: 'decided'; readonly decision: Decision };
  readonly fault: SpentbookFault;
  readonly timer: never;
  readonly job: SpentbookJob;
  readonly result: SpentbookResult;
}
