import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type { DealingKeys } from '#crypto/dealing/dealing-suite.ts';
import type { DkgJob, DkgResult, DkgSuites } from './jobs.ts';
import type {
  DealingList,
  DkgMessage,
  SignedReadiness,
  SignedDealing,
  SignedKey,
  ProposedList,
} from './messages.ts';
import type { ReadinessProof } from './readiness-proof.ts';

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
  /** The secret of this candidate's own fallback key, 32 bytes. */
  readonly fallbackSecret: Uint8Array;
  /** The bytes a new key signs to prove it works: pure, and the same for all seven. */
  readonly readyBytes: (list: Uint8Array, keys: DealingKeys) => Uint8Array;
  /** The key already exists and this candidate missed it: it only collects parts for its share. */
  readonly late?: boolean;
  readonly gossipEveryMs: number;
  readonly suites: DkgSuites;
}

/** The key of a list, as one candidate holds it. */
export interface KeyShareSet extends DealingKeys {
  /** 32 bytes: this candidate's own. */
  readonly secretShare: Uint8Array;
  /** 1…7. */
  readonly index: number;
}

export interface HeldDealing {
  readonly dealing: SignedDealing;
  readonly hash: Uint8Array;
}

/** A list of dealings and this candidate's progress with it. */
export interface HeldList {
  readonly dealings: DealingList;
  readonly hash: Uint8Array;
  /** A decision outside selected it, so its share is required. */
  readonly wanted: boolean;
  readonly stage:
    | { readonly kind: 'incomplete' }
    | { readonly kind: 'deriving' }
    | {
        readonly kind: 'derived';
        readonly result: KeyShareSet;
        readonly ready: Uint8Array;
        /** A job is combining five shares. */
        readonly combining: boolean;
        readonly proof: ReadinessProof | null;
      }
    /** N17, or the sum is no key. */
    | { readonly kind: 'unusable' };
  /** By candidate. */
  readonly readiness: ReadonlyMap<number, SignedReadiness>;
  /** Candidates whose readiness was invalid: it is not requested again. */
  readonly wrong: ReadonlySet<number>;
}

/** Public parts, kept to answer requests even after the session ended. */
export interface DkgPublicState {
  /** The first valid key of each candidate. */
  readonly keys: ReadonlyMap<number, SignedKey>;
  /** Verified dealings, by hex of their hash. */
  readonly dealings: ReadonlyMap<string, HeldDealing>;
  /** By proposer. */
  readonly proposed: ReadonlyMap<number, ProposedList>;
  /** By hex of their hash. */
  readonly lists: ReadonlyMap<string, HeldList>;
  /** Parts sent to a peer since its last request. */
  readonly sent: ReadonlyMap<
    NodeId,
    { readonly tick: number; readonly parts: ReadonlySet<string> }
  >;
  /** Requests this candidate has sent. */
  readonly tick: number;
}

export interface DkgWorkingState extends DkgPublicState {
  /** 32 bytes: decrypts shares encrypted to this candidate's session key. */
  readonly sharingSecret: Uint8Array;
  /** Dealings being verified, at most one per carrier. */
  readonly checking: ReadonlyMap<NodeId, HeldDealing>;
  /** Offences already blamed, with their culprits. */
  readonly blamed: ReadonlySet<string>;
  /** The first tick with dealings of five dealers; null before. */
  readonly quorumTick: number | null;
  /** The key selected outside: the session ends with the output of its share (N18). */
  readonly selectedKey: Uint8Array | null;
}

export type DkgState =
  /** Waiting for session keys. */
  | ({ readonly kind: 'gathering' } & DkgWorkingState)
  /** A job makes this candidate's dealing. */
  | ({ readonly kind: 'dealing' } & DkgWorkingState)
  | ({ readonly kind: 'dealt' } & DkgWorkingState)
  /** Selected or not: no secret left, answers only (N18). */
  | ({ readonly kind: 'ended' } & DkgPublicState);

/** States in which parts are still accepted. */
export type ActiveDkgState = Exclude<DkgState, { readonly kind: 'ended' }>;

export type DkgInput =
  /** A decision outside selected this list: its share is required. */
  | { readonly kind: 'finish'; readonly list: DealingList }
  /** The caller stored the share of this key, now the section's. */
  | { readonly kind: 'selected'; readonly key: Uint8Array }
  | { readonly kind: 'notSelected' };

export type DkgFact =
  /** Secret. The caller destroys it on the output `ended` (N18). */
  | { readonly kind: 'announced'; readonly sharingSecret: Uint8Array; readonly key: SignedKey }
  /** Verified, of any dealer. */
  | { readonly kind: 'accepted'; readonly dealing: SignedDealing }
  | { readonly kind: 'listProposed'; readonly list: ProposedList }
  | { readonly kind: 'ended' };

export type DkgOutput =
  /** At least once per list that five candidates vouched for. */
  | { readonly kind: 'ready'; readonly ready: ReadinessProof }
  /** At least once per list whose share this candidate derived. */
  | {
      readonly kind: 'share';
      readonly list: DealingList;
      readonly share: KeyShareSet;
      /** A share was decrypted with the fallback key: replace it after the session (N12, N18). */
      readonly usedFallback: boolean;
    }
  /** The session's secrets are no longer needed. */
  | { readonly kind: 'ended' };

export type DkgFault =
  /** The carrier sent a part its author never signed. */
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
      readonly lists: readonly [ProposedList, ProposedList];
    }
  /** A signed list of fewer than five dealings. */
  | { readonly kind: 'invalidList'; readonly culprit: NodeId; readonly list: ProposedList }
  | {
      readonly kind: 'invalidReadiness';
      readonly culprit: NodeId;
      readonly readiness: SignedReadiness;
    }
  /** N17: a verified dealing has no valid share for this candidate. */
  | {
      readonly kind: 'undecryptable';
      readonly culprit: NodeId;
      readonly dealing: SignedDealing;
      readonly proof: Uint8Array;
    };

export type DkgJobId =
  | { readonly kind: 'deal' }
  /** A dealing, by the peer that sent it. */
  | { readonly kind: 'verify'; readonly from: NodeId }
  /** A list, by the hex of its hash. */
  | { readonly kind: 'derive' | 'vouch' | 'combine'; readonly list: string };

export interface Dkg {
  readonly input: DkgInput;
  readonly message: DkgMessage;
  readonly fact: DkgFact;
  readonly output: DkgOutput;
  readonly fault: DkgFault;
  readonly timer: 'gossip';
  readonly job: DkgJob;
  readonly jobId: DkgJobId;
  readonly result: DkgResult;
}
