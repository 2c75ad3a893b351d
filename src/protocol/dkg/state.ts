import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type { DealtKeys } from '#crypto/dealing.ts';
import type { DkgJob, DkgResult, DkgSuites } from './jobs.ts';
import type {
  DealingList,
  DkgMessage,
  Readiness,
  SignedDealing,
  SignedKey,
  SignedList,
} from './messages.ts';
import type { Ready } from './proof.ts';

export interface DkgConfig {
  /** Hex of this candidate's name. */
  readonly self: NodeId;
  readonly identitySeed: Uint8Array;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  /** 32 bytes, of this child of this session alone (`childSessionId`). */
  readonly sessionId: Uint8Array;
  /** Seven, sorted. */
  readonly candidates: readonly XorName[];
  /** N12: the agreed sharing key of candidates 1…7, from their member records; 32 bytes each. */
  readonly fallbackKeys: readonly Uint8Array[];
  /** The secret of my own one, 32 bytes. */
  readonly fallbackSecret: Uint8Array;
  /** What the new key signs to show that it lives: pure, and the same for all seven. */
  readonly readyBytes: (list: Uint8Array, keys: DealtKeys) => Uint8Array;
  /** The key is made and this candidate was away: it wants its share and takes no other part. */
  readonly late?: boolean;
  readonly gossipEveryMs: number;
  readonly suites: DkgSuites;
}

/** What a list leaves with a candidate. */
export interface KeyShareSet extends DealtKeys {
  /** 32 bytes: this candidate's own. */
  readonly secretShare: Uint8Array;
  /** 1…7. */
  readonly index: number;
}

export interface HeldDealing {
  readonly dealing: SignedDealing;
  readonly hash: Uint8Array;
}

/** A list of dealings and how far this candidate is with it. */
export interface HeldList {
  readonly dealings: DealingList;
  readonly hash: Uint8Array;
  /** A decision outside picked it: its share must be found. */
  readonly wanted: boolean;
  readonly stage:
    | { readonly kind: 'lacking' }
    | { readonly kind: 'deriving' }
    | {
        readonly kind: 'derived';
        readonly result: KeyShareSet;
        readonly ready: Uint8Array;
        /** A job combines five shares. */
        readonly combining: boolean;
        readonly proof: Ready | null;
      }
    /** N17, or no key: this list is of no use. */
    | { readonly kind: 'useless' };
  /** By candidate. */
  readonly readiness: ReadonlyMap<number, Readiness>;
  /** Candidates whose readiness was wrong: not asked for again. */
  readonly wrong: ReadonlySet<number>;
}

/** Public knowledge: what is kept to answer others, also after the end. */
export interface Held {
  /** The first valid one of each candidate. */
  readonly keys: ReadonlyMap<number, SignedKey>;
  /** Checked ones, by hex of their hash. */
  readonly dealings: ReadonlyMap<string, HeldDealing>;
  /** By namer. */
  readonly named: ReadonlyMap<number, SignedList>;
  /** By hex of their hash. */
  readonly lists: ReadonlyMap<string, HeldList>;
  /** What was sent to a peer since its last ask. */
  readonly sent: ReadonlyMap<
    NodeId,
    { readonly tick: number; readonly parts: ReadonlySet<string> }
  >;
  /** Times this candidate asked. */
  readonly tick: number;
}

export interface Working extends Held {
  /** 32 bytes: opens what is sealed to my session key. */
  readonly sharingSecret: Uint8Array;
  /** Dealings under way through a job, by carrier: one each. */
  readonly checking: ReadonlyMap<NodeId, HeldDealing>;
  /** Dealers that were blamed already, and candidates for other deeds. */
  readonly blamed: ReadonlySet<string>;
  /** The tick at which five dealers' dealings were held; null before. */
  readonly fiveAt: number | null;
  /** The key that won: the end comes when its share is out (N18). */
  readonly won: Uint8Array | null;
}

export type DkgState =
  /** Waiting for session keys. */
  | ({ readonly kind: 'gathering' } & Working)
  /** A job makes my dealing. */
  | ({ readonly kind: 'dealing' } & Working)
  | ({ readonly kind: 'dealt' } & Working)
  /** Won or lost: no secret left, answers only (N18). */
  | ({ readonly kind: 'ended' } & Held);

/** The states in which parts are still taken. */
export type Open = Exclude<DkgState, { readonly kind: 'ended' }>;

export type DkgInput =
  /** A decision outside picked this list: I need my share of its key. */
  | { readonly kind: 'finish'; readonly list: DealingList }
  /** The caller stored the share of this key, which is the section's now. */
  | { readonly kind: 'won'; readonly key: Uint8Array }
  | { readonly kind: 'lost' };

export type DkgFact =
  /** Secret. The caller destroys it when the output `ended` was heard (N18). */
  | { readonly kind: 'announced'; readonly sharingSecret: Uint8Array; readonly key: SignedKey }
  /** Mine or another's, checked. */
  | { readonly kind: 'accepted'; readonly dealing: SignedDealing }
  | { readonly kind: 'named'; readonly list: SignedList }
  | { readonly kind: 'ended' };

export type DkgOutput =
  /** At least once per list that five candidates vouched for. */
  | { readonly kind: 'ready'; readonly ready: Ready }
  /** At least once per list whose share this candidate found. */
  | {
      readonly kind: 'share';
      readonly list: DealingList;
      readonly share: KeyShareSet;
      /** A dealing was opened with the agreed key: replace it after this session (N12, N18). */
      readonly usedFallback: boolean;
    }
  /** No secret of the session is needed any more. */
  | { readonly kind: 'ended' };

export type DkgFault =
  /** The carrier handed over a part its author never signed. */
  | { readonly kind: 'invalidSignature'; readonly culprit: NodeId; readonly part: string }
  | {
      readonly kind: 'keyEquivocation';
      readonly culprit: NodeId;
      readonly keys: readonly [SignedKey, SignedKey];
    }
  /** A signed key that no share can be encrypted to. */
  | { readonly kind: 'invalidKey'; readonly culprit: NodeId; readonly key: SignedKey }
  | {
      readonly kind: 'dealingEquivocation';
      readonly culprit: NodeId;
      readonly dealings: readonly [SignedDealing, SignedDealing];
    }
  /** A dealing with a key its owner never signed, or whose proof fails. */
  | { readonly kind: 'invalidDealing'; readonly culprit: NodeId; readonly dealing: SignedDealing }
  | {
      readonly kind: 'listEquivocation';
      readonly culprit: NodeId;
      readonly lists: readonly [SignedList, SignedList];
    }
  /** A signed list of fewer than five dealings. */
  | { readonly kind: 'invalidList'; readonly culprit: NodeId; readonly list: SignedList }
  | { readonly kind: 'invalidReadiness'; readonly culprit: NodeId; readonly readiness: Readiness }
  /** N17: a dealing that everybody checked holds no share for me. */
  | {
      readonly kind: 'unopenable';
      readonly culprit: NodeId;
      readonly dealing: SignedDealing;
      readonly proof: Uint8Array;
    };

export interface Dkg {
  readonly input: DkgInput;
  readonly message: DkgMessage;
  readonly fact: DkgFact;
  readonly output: DkgOutput;
  readonly fault: DkgFault;
  readonly timer: 'gossip';
  readonly job: DkgJob;
  readonly result: DkgResult;
}
