/** One payment at the client: its bundle, its progress, and its possible outcomes. */
import type { NodeId } from '#core/machine.ts';
import type {
  SpendCertificate,
  SectionKey,
  SpendPhase,
  SectionKeys,
  InputSource,
  SpendStatement,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { Transaction } from '#money/transaction.ts';
import type { MintAnswer } from '#protocol/mint/index.ts';
import type {
  BadShare,
  CombineJob,
  CombineResult,
  ThresholdCollector,
} from '#protocol/section/index.ts';
import type { SpentbookAnswer } from '#protocol/spentbook/index.ts';
import type { PaymentMessage } from './messages.ts';

/** An elder as the section's authority lists it; its node id is the hex of its name. */
export interface PaymentElder {
  readonly name: Uint8Array;
  /** 96 bytes: verifies its signature shares. */
  readonly publicShare: Uint8Array;
  /** 1…7. */
  readonly index: number;
}

/**
 * SPENTBOOK-R0: everything a payment needs, stored before the first byte is sent. It contains no secret: any holder
 * can finish the payment but change nothing about it.
 */
export interface PaymentBundle {
  readonly transaction: Uint8Array;
  /** One per input; may be empty with `prepared` or `certificates`. */
  readonly sources: readonly InputSource[];
  /** To start at COMMIT: a prepare certificate per input, already verified. */
  readonly prepared: readonly SpendCertificate[] | null;
  /** To start at REGISTER: a commit certificate per input, already verified. */
  readonly certificates: readonly SpendCertificate[] | null;
}

/** A section with a current key, and its elders. */
export interface PaymentSection extends SectionKey {
  readonly elders: readonly PaymentElder[];
}

/** The client's verified view of the network: the newest section of every prefix, and superseded keys. */
export interface PaymentSections extends SectionKeys {
  readonly current: readonly PaymentSection[];
}

export interface PaymentConfig {
  /** The view at the start; changes arrive as the input `sections`. */
  readonly sections: PaymentSections;
  readonly identity: IdentitySuite;
  readonly bundle: PaymentBundle;
  /** The first pause before identical requests are sent again; it doubles up to 16-fold. */
  readonly repeatEveryMs: number;
}

/** Shares for one slot and phase, to be combined into a certificate. */
export interface ShareCollection {
  readonly certificate: SpendCertificate | null;
  /** Null before the first share. */
  readonly collector: ThresholdCollector | null;
}

/** A source's certificate of a superseded epoch that needs an inclusion proof (N34). */
export interface MissingInclusion {
  readonly sourceIndex: number;
  readonly certificateIndex: number;
  readonly slot: Uint8Array;
  readonly epoch: bigint;
  readonly txid: Uint8Array;
}

export type PaymentPhase =
  | { readonly kind: 'proving'; readonly missing: readonly MissingInclusion[] }
  | { readonly kind: 'preparing'; readonly collections: readonly ShareCollection[] }
  | {
      readonly kind: 'committing';
      readonly prepared: readonly SpendCertificate[];
      readonly collections: readonly ShareCollection[];
    }
  | {
      readonly kind: 'registering';
      readonly certificates: readonly SpendCertificate[];
      /** The elders that acknowledged each output. */
      readonly acks: readonly ReadonlySet<NodeId>[];
    }
  | { readonly kind: 'registered'; readonly certificates: readonly SpendCertificate[] }
  | { readonly kind: 'replaced'; readonly by: Replacement };

/** The coin was spent by another transaction; the certificate is verified. */
export interface Replacement {
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
  readonly keyImage: Uint8Array;
  readonly certificate: SpendCertificate;
}

/** The bundle's transaction, with its slots, names and requests. */
export interface RequestPlan {
  readonly transaction: Transaction;
  readonly txid: Uint8Array;
  readonly slots: readonly {
    readonly name: Uint8Array;
    readonly keyImage: Uint8Array;
    /** SPENTBOOK-R4: shares of another ballot are ignored. */
    readonly ballot: number;
  }[];
  /** Request ids per slot and ballot, or per output when registering, or per missing path; deterministic,
   * so a restart repeats the identical bytes to the same section key. */
  readonly requests: Readonly<Record<AskingPhase, readonly Uint8Array[]>>;
}

export type AskingPhase = 'proving' | 'preparing' | 'committing' | 'registering';

export interface PaymentState {
  readonly plan: RequestPlan;
  readonly sections: PaymentSections;
  /** Counts changes of the sections that matter here: answers of earlier turns are stale. */
  readonly turn: number;
  readonly phase: PaymentPhase;
  /** The bundle's sources, with the inclusion proofs found since. */
  readonly sources: readonly InputSource[];
  /** Valid prepare certificates, per slot. */
  readonly prepared: readonly (SpendCertificate | null)[];
  /** Valid commit certificates, per slot, whatever the phase. */
  readonly committed: readonly (SpendCertificate | null)[];
  /** Repetitions since the last progress. */
  readonly round: number;
  /** Elders with any answer in this phase. */
  readonly answered: ReadonlySet<NodeId>;
  /** Per slot: the transaction (txid in hex) that an elder has verifiably voted for instead of ours. */
  readonly votes: readonly SlotVotes[];
  /** By txid in hex: the transactions of these votes, and those adopted. */
  readonly others: ReadonlyMap<string, OtherPayment>;
  /** Txids in hex: these go first (PAYMENT-P8). */
  readonly adopted: ReadonlySet<string>;
  /** Before this round, only elders that have voted are asked (PAYMENT-P8). */
  readonly holdsBackUntil: number;
  /** Elders that rejected our bytes. */
  readonly refusals: ReadonlySet<NodeId>;
  /** Evidence being checked: at most one per elder and slot. */
  readonly checking: ReadonlyMap<string, SpentbookAnswer | MintAnswer>;
  /** Elders that hinted at a newer section since the last round. */
  readonly outdatedHints: ReadonlySet<NodeId>;
  /** The reason last reported, so that each is reported once. */
  readonly reportedReason: WaitingReason['kind'] | 'adopted' | null;
}

export type SlotVotes = ReadonlyMap<NodeId, string>;

/** A transaction that spends one of our coins, signed by its owner: verified. */
export interface OtherPayment {
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
}

/** PAYMENT-P8: with the votes that a restart needs in order to hold back again. */
export interface Adoption extends OtherPayment {
  readonly votes: readonly AdoptionVotes[];
}

/** Who has voted for the adopted transaction at one of our slots, in this epoch of its section. */
export interface AdoptionVotes {
  readonly index: number;
  readonly epoch: bigint;
  /** Names. */
  readonly elders: readonly Uint8Array[];
}

export type PaymentFact =
  | { readonly kind: 'prepared'; readonly index: number; readonly certificate: SpendCertificate }
  | { readonly kind: 'committed'; readonly index: number; readonly certificate: SpendCertificate }
  | { readonly kind: 'registered' }
  | { readonly kind: 'replaced'; readonly by: Replacement }
  | { readonly kind: 'adopted'; readonly adoption: Adoption };

/** Why a payment makes no progress; it keeps sending its first bytes. */
export type WaitingReason =
  /** Elders voted for another payment of this coin; until recovery (SPENTBOOK-R3) exists it may wait for ever. */
  | { readonly kind: 'conflict'; readonly txid: Uint8Array; readonly transaction: Uint8Array }
  | { readonly kind: 'tooFewElders'; readonly answered: number }
  /** More elders than may be faulty report the bytes as wrong. */
  | { readonly kind: 'refused'; readonly what: string }
  /** Another transaction created the same one-time key. */
  | { readonly kind: 'duplicateKey'; readonly oneTimeKey: Uint8Array };

/** Reached stages (stages.ts), and why the next one is not reached. */
export type PaymentOutput =
  | { readonly kind: 'committing'; readonly prepared: readonly SpendCertificate[] }
  | { readonly kind: 'final'; readonly certificates: readonly SpendCertificate[] }
  | { readonly kind: 'registered'; readonly certificates: readonly SpendCertificate[] }
  | { readonly kind: 'replaced'; readonly by: Replacement }
  | { readonly kind: 'waiting'; readonly reason: WaitingReason }
  /** PAYMENT-P8: this transaction goes first. Its owner should send it, too; repeated after a start. */
  | { readonly kind: 'adopt'; readonly other: OtherPayment }
  /**
   * An elder reports that its key, or one this client cites, is superseded. Only a hint: look up a newer
   * section for this address, and give it back as `sections`.
   */
  | { readonly kind: 'outdated'; readonly address: Uint8Array; readonly elder: NodeId };

export type PaymentFault =
  | (BadShare & {
      readonly phase: SpendPhase;
      readonly statement: SpendStatement;
      readonly share: Uint8Array;
    })
  | {
      readonly kind: 'badEvidence';
      readonly culprit: NodeId;
      readonly answer: SpentbookAnswer | MintAnswer;
    };

export type PaymentJob =
  | CombineJob
  | {
      readonly kind: 'checkSpent';
      readonly sections: SectionKeys;
      readonly keyImage: Uint8Array;
      readonly transaction: Uint8Array;
      readonly certificate: SpendCertificate;
    }
  | {
      readonly kind: 'checkConflict';
      readonly sections: SectionKeys;
      readonly keyImage: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
    }
  | {
      readonly kind: 'checkDuplicate';
      readonly sections: SectionKeys;
      readonly oneTimeKey: Uint8Array;
      readonly entry: Uint8Array;
    };

export type PaymentResult =
  | CombineResult
  /** The txid of the evidence, null when it proves nothing. */
  | { readonly kind: 'checked'; readonly txid: Uint8Array | null }
  /** The evidence cites a key that this client does not know, or knows to be superseded. */
  | { readonly kind: 'unproven' };

/** Results of earlier turns are stale. */
export type PaymentJobId = { readonly index: number; readonly turn: number } & (
  | {
      readonly kind: 'combine';
      readonly phase: 'preparing' | 'committing';
      readonly ballot: number;
    }
  /** Evidence in an answer of this kind. */
  | {
      readonly kind: 'check';
      readonly evidence: (SpentbookAnswer | MintAnswer)['kind'];
      readonly from: NodeId;
    }
);

export interface Payment {
  readonly input:
    { readonly kind: 'repeat' } | { readonly kind: 'sections'; readonly sections: PaymentSections };
  readonly message: PaymentMessage;
  readonly fact: PaymentFact;
  readonly output: PaymentOutput;
  readonly fault: PaymentFault;
  readonly timer: 'repeat';
  readonly job: PaymentJob;
  readonly jobId: PaymentJobId;
  readonly result: PaymentResult;
}
