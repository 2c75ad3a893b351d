/** One payment at the client: its bundle, what it gathered, and how it may end. */
import type { NodeId } from '#core/machine.ts';
import type {
  Certificate,
  MoneyKey,
  Phase,
  SectionKeys,
  Source,
  Statement,
  StatementSection,
} from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import type { Transaction } from '#money/transaction.ts';
import type { MintAnswer } from '#protocol/mint/index.ts';
import type { SpentbookAnswer } from '#protocol/spentbook/index.ts';
import type { PaymentMessage } from './messages.ts';

/** An elder as the section's authority lists it; its node id is the hex of its name. */
export interface PaymentElder {
  readonly name: Uint8Array;
  /** 96 bytes: what its signature shares verify against. */
  readonly publicShare: Uint8Array;
  /** 1…7. */
  readonly index: number;
}

/**
 * R0: everything a payment needs, written down before the first byte is sent. No secret inside:
 * whoever holds it can finish the payment and change nothing about it.
 */
export interface PaymentBundle {
  readonly transaction: Uint8Array;
  /** One per input; may be empty when `prepared` or `certificates` is there. */
  readonly sources: readonly Source[];
  /** Given by who starts at COMMIT: a prepared certificate per input, already verified. */
  readonly prepared: readonly Certificate[] | null;
  /** Given by who starts at REGISTER: a commit certificate per input, already verified. */
  readonly certificates: readonly Certificate[] | null;
}

/** A section that speaks now, with whoever speaks for it. */
export interface PaymentSection extends MoneyKey {
  readonly elders: readonly PaymentElder[];
}

/** What the client has verified of the network: the newest section of every prefix, and history. */
export interface PaymentSections extends SectionKeys {
  readonly current: readonly PaymentSection[];
}

export interface PaymentConfig {
  /** As known at the start; news comes as the input `sections`. */
  readonly sections: PaymentSections;
  readonly identity: IdentitySuite;
  readonly bundle: PaymentBundle;
  /** First pause before the identical requests go out again; it doubles up to 16-fold. */
  readonly repeatEveryMs: number;
}

/** Shares for one slot and phase, on their way to a certificate. */
export interface Collection {
  readonly certificate: Certificate | null;
  readonly shares: ReadonlyMap<NodeId, Uint8Array>;
  /** Elders whose share was wrong; nothing more is taken from them in this phase. */
  readonly dropped: ReadonlySet<NodeId>;
  readonly combining: boolean;
}

/** A certificate of a superseded epoch among the sources, waiting for its path (N34). */
export interface MissingPath {
  readonly source: number;
  readonly certificate: number;
  readonly slot: Uint8Array;
  readonly epoch: bigint;
  readonly txid: Uint8Array;
}

export type PaymentPhase =
  | { readonly kind: 'proving'; readonly missing: readonly MissingPath[] }
  | { readonly kind: 'preparing'; readonly collections: readonly Collection[] }
  | {
      readonly kind: 'committing';
      readonly prepared: readonly Certificate[];
      readonly collections: readonly Collection[];
    }
  | {
      readonly kind: 'registering';
      readonly certificates: readonly Certificate[];
      /** Who acknowledged each output. */
      readonly acks: readonly ReadonlySet<NodeId>[];
    }
  | { readonly kind: 'registered'; readonly certificates: readonly Certificate[] }
  | { readonly kind: 'replaced'; readonly by: Replacement };

/** The coin was spent by another transaction; the certificate is verified. */
export interface Replacement {
  readonly txid: Uint8Array;
  readonly transaction: Uint8Array;
  readonly keyImage: Uint8Array;
  readonly certificate: Certificate;
}

/** The bundle's transaction with everything that is asked about it by name. */
export interface Plan {
  readonly transaction: Transaction;
  readonly txid: Uint8Array;
  readonly slots: readonly { readonly name: Uint8Array; readonly keyImage: Uint8Array }[];
  /** Request ids per slot, or per output when registering, or per missing path; deterministic, so
   * a restart repeats the identical bytes to the same section key. */
  readonly requests: Readonly<Record<AskingPhase, readonly Uint8Array[]>>;
}

export type AskingPhase = 'proving' | 'preparing' | 'committing' | 'registering';

export interface PaymentState {
  readonly plan: Plan;
  readonly sections: PaymentSections;
  /** Counts changes of the sections that matter here: answers of earlier turns are stale. */
  readonly turn: number;
  readonly phase: PaymentPhase;
  /** The bundle's sources, with the paths found since. */
  readonly sources: readonly Source[];
  /** Prepared certificates that still count, per slot. */
  readonly prepared: readonly (Certificate | null)[];
  /** Commit certificates that count, per slot, whatever the phase. */
  readonly committed: readonly (Certificate | null)[];
  /** Rounds of repetition since the last progress. */
  readonly round: number;
  /** Elders that answered anything in this phase. */
  readonly heard: ReadonlySet<NodeId>;
  /** Elders that showed a vote for another transaction, verified. */
  readonly conflicts: ReadonlySet<NodeId>;
  /** Elders that called our bytes wrong. */
  readonly refusals: ReadonlySet<NodeId>;
  /** Evidence being checked: at most one per elder and place. */
  readonly checking: ReadonlyMap<string, SpentbookAnswer | MintAnswer>;
  /** Elders that hinted at news since the last round. */
  readonly hinted: ReadonlySet<NodeId>;
  /** The reason last told, so that it is told once. */
  readonly told: WaitingReason['kind'] | null;
}

export type PaymentFact =
  | { readonly kind: 'prepared'; readonly index: number; readonly certificate: Certificate }
  | { readonly kind: 'committed'; readonly index: number; readonly certificate: Certificate }
  | { readonly kind: 'registered' }
  | { readonly kind: 'replaced'; readonly by: Replacement };

/** Why a payment has not come further; it goes on repeating its first bytes. */
export type WaitingReason =
  /** Elders wrote another payment of this coin; until recovery (R3) exists it may wait for ever. */
  | { readonly kind: 'conflict'; readonly txid: Uint8Array; readonly transaction: Uint8Array }
  | { readonly kind: 'tooFewElders'; readonly answered: number }
  /** More elders than may lie say the bytes are wrong. */
  | { readonly kind: 'refused'; readonly what: string }
  /** Another transaction made the same one-time key. */
  | { readonly kind: 'duplicateKey'; readonly oneTimeKey: Uint8Array };

export type PaymentOutput =
  | { readonly kind: 'prepared'; readonly prepared: readonly Certificate[] }
  | { readonly kind: 'final'; readonly certificates: readonly Certificate[] }
  | { readonly kind: 'registered'; readonly certificates: readonly Certificate[] }
  | { readonly kind: 'replaced'; readonly by: Replacement }
  | { readonly kind: 'waiting'; readonly reason: WaitingReason }
  /**
   * An elder says that its key is superseded, or that this client cites one that is. Only a hint:
   * look for a newer section for this address, and give it back as `sections`.
   */
  | { readonly kind: 'outdated'; readonly address: Uint8Array; readonly elder: NodeId };

export type PaymentFault =
  /** The share does not verify against the elder's public share. */
  | {
      readonly kind: 'badShare';
      readonly culprit: NodeId;
      readonly phase: Phase;
      readonly statement: Statement;
      readonly share: Uint8Array;
    }
  | {
      readonly kind: 'badEvidence';
      readonly culprit: NodeId;
      readonly answer: SpentbookAnswer | MintAnswer;
    };

export type PaymentJob =
  | {
      readonly kind: 'combine';
      readonly section: StatementSection;
      readonly phase: Phase;
      readonly statement: Statement;
      readonly shares: readonly {
        readonly from: NodeId;
        readonly index: number;
        readonly publicShare: Uint8Array;
        readonly share: Uint8Array;
      }[];
    }
  | {
      readonly kind: 'checkSpent';
      readonly sections: SectionKeys;
      readonly keyImage: Uint8Array;
      readonly transaction: Uint8Array;
      readonly certificate: Certificate;
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
  | {
      readonly kind: 'combined';
      readonly certificate: Certificate | null;
      readonly bad: readonly NodeId[];
    }
  /** The txid the evidence is about, null when the evidence proves nothing. */
  | { readonly kind: 'checked'; readonly txid: Uint8Array | null }
  /** The evidence cites a key this client does not know, or one it knows to be superseded. */
  | { readonly kind: 'unproven' };

export interface Payment {
  readonly input:
    { readonly kind: 'repeat' } | { readonly kind: 'sections'; readonly sections: PaymentSections };
  readonly message: PaymentMessage;
  readonly fact: PaymentFact;
  readonly output: PaymentOutput;
  readonly fault: PaymentFault;
  readonly timer: 'repeat';
  readonly job: PaymentJob;
  readonly result: PaymentResult;
}
