/** One slot at one elder: configuration, record, facts, jobs and faults. */
import type { NodeId } from '#core/machine.ts';
import type {
  SpendCertificate,
  MoneySection,
  SectionKeys,
  InputSource,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { InclusionProof } from '#money/inclusion-proof.ts';
import type { SpentbookMessage, SpentbookRequest } from './messages.ts';

export interface SpentbookConfig {
  /** This elder's name: its ed25519 public key. */
  readonly name: Uint8Array;
  readonly section: MoneySection;
  /** Names of the elders in the record of this key, not of today: only they can report. */
  readonly elders: readonly Uint8Array[];
  /** All section keys this elder knows, its own included. */
  readonly known: SectionKeys;
  /** Entries of earlier epochs, by hex of the slot. */
  readonly inherited: { readonly get: (slot: string) => InheritedSlot | undefined };
  /** SPENTBOOK-R6: true once money of this key has stopped; no share is made or repeated. */
  readonly sealed: boolean;
  /** This elder's share of the section key, 32 bytes. */
  readonly secretShare: Uint8Array;
  /** Signs votes that are shown as evidence. */
  readonly identitySeed: Uint8Array;
  readonly identity: IdentitySuite;
}

/** A slot's inclusion proof under one epoch's sealed root. */
export interface EpochInclusion {
  readonly epoch: bigint;
  readonly path: InclusionProof;
}

/** A slot in the sealed roots of earlier epochs; the txid is the same in all of them. */
export type InheritedSlot =
  | {
      readonly kind: 'bound';
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      /** Oldest first, at least one. */
      readonly inclusions: readonly EpochInclusion[];
    }
  | {
      readonly kind: 'decided';
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      readonly inclusions: readonly EpochInclusion[];
      /** The commit certificate of this slot, with its inclusion proof. */
      readonly certificate: SpendCertificate;
    };

/** A spend this elder signed, with the exact bytes and share. */
export interface SignedSpend {
  readonly slot: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
  readonly share: Uint8Array;
}

export interface PreparedTransaction extends SignedSpend {
  /** The PREPARE certificates of all inputs: enough to complete the payment. */
  readonly prepared: readonly SpendCertificate[];
}

export interface SlotDecision {
  readonly slot: Uint8Array;
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
  /** The commit certificate of this slot. */
  readonly certificate: SpendCertificate;
}

/**
 * Everything that an elder has signed about one slot: one row, replaced as a whole. `promised` never falls and
 * is at least the ballot of vote and bundle.
 */
export interface SlotRow {
  /** SPENTBOOK-R3: nothing is signed below this ballot. */
  readonly promised: number;
  /** The vote at the highest ballot. */
  readonly vote: SignedSpend | null;
  /** The bundle whose certificate of this slot has the highest ballot. */
  readonly bundle: PreparedTransaction | null;
  /** SPENTBOOK-R7: never changes. */
  readonly decision: SlotDecision | null;
}

export interface SpentbookState {
  readonly row: SlotRow;
  /** Requests whose job is running, by client and request id. */
  readonly pending: ReadonlySet<string>;
}

/** Each fact replaces the earlier ones, so that a slot takes the same space whatever its owner asks. */
export interface SpentbookFact {
  readonly kind: 'row';
  readonly row: SlotRow;
}

/** The evidence is the request itself: any honest elder can verify it. */
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
      readonly sources: readonly InputSource[];
      readonly known: SectionKeys;
      /** The transaction the slot is bound to: five elders of an earlier epoch verified it. */
      readonly bound: Uint8Array | null;
      /** SPENTBOOK-R3: the certificate that forces this transaction; five elders of this key verified it. */
      readonly top: SpendCertificate | null;
    }
  /** A candidate this elder has not seen: verified like a PREPARE, without a share. */
  | {
      readonly kind: 'recover';
      readonly section: MoneySection;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly sources: readonly InputSource[];
      readonly known: SectionKeys;
    }
  | {
      readonly kind: 'commit';
      readonly section: MoneySection;
      readonly secretShare: Uint8Array;
      readonly slot: Uint8Array;
      readonly transaction: Uint8Array;
      readonly prepared: readonly SpendCertificate[];
      readonly known: SectionKeys;
      /** An earlier epoch bound the slot to this transaction. */
      readonly isBound: boolean;
    };

export type SpentbookResult =
  | {
      readonly kind: 'shared';
      readonly ballot: number;
      readonly txid: Uint8Array;
      readonly share: Uint8Array;
    }
  | { readonly kind: 'verified'; readonly txid: Uint8Array }
  /** No fault: the client or this elder has not learnt of a handover yet. */
  | { readonly kind: 'unproven'; readonly slot: Uint8Array; readonly epoch: bigint }
  | { readonly kind: 'refused'; readonly what: string };

export interface Spentbook {
  /** From this elder's own mint, which has verified the certificate. */
  readonly input: { readonly kind: 'settle'; readonly decision: SlotDecision };
  readonly message: SpentbookMessage;
  readonly fact: SpentbookFact;
  readonly output: { readonly kind: 'decided'; readonly decision: SlotDecision };
  readonly fault: SpentbookFault;
  readonly timer: never;
  readonly job: SpentbookJob;
  /** The request to answer. */
  readonly jobId: { readonly from: NodeId; readonly request: SpentbookRequest };
  readonly result: SpentbookResult;
}
