import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type { DkgGroup } from './group.ts';
import type { DkgJob, DkgResult } from './jobs.ts';
import type {
  DkgMessage,
  SignedAck,
  SignedComplaint,
  SignedDealing,
  SignedKey,
} from './messages.ts';

export interface DkgConfig {
  /** Hex of this candidate's name. */
  readonly self: NodeId;
  readonly identitySeed: Uint8Array;
  /** Seven, sorted. */
  readonly candidates: readonly XorName[];
  /** From `sessionIdOf`. */
  readonly sessionId: Uint8Array;
  readonly gossipEveryMs: number;
  readonly group: DkgGroup;
}

/** What a candidate has of the others' parts, by index; the first valid part of each counts. */
export interface Collected {
  readonly boxSecret: Uint8Array;
  readonly keys: ReadonlyMap<number, SignedKey>;
  readonly dealings: ReadonlyMap<number, HeldDealing>;
  readonly acks: ReadonlyMap<number, SignedAck>;
  /** Complaints being judged, by complainer. */
  readonly complaints: ReadonlyMap<number, SignedComplaint>;
}

export interface HeldDealing {
  readonly dealing: SignedDealing;
  readonly hash: Uint8Array;
  /** My share of it; null while a job checks it. */
  readonly share: Uint8Array | null;
}

/** What a key generation leaves with each candidate. */
export interface KeyShareSet {
  /** 96 bytes: the section key. */
  readonly key: Uint8Array;
  /** Public shares of candidates 1…7, 96 bytes each. */
  readonly publicShares: readonly Uint8Array[];
  /** 32 bytes: this candidate's own. */
  readonly secretShare: Uint8Array;
  /** 1…7. */
  readonly index: number;
}

export type DkgState =
  | ({ readonly kind: 'gatheringKeys' } & Collected)
  /** All keys known; a job makes my dealing. */
  | ({ readonly kind: 'dealing' } & Collected)
  | ({ readonly kind: 'collectingDealings' } & Collected)
  /** I vouched for seven dealings; `summing` once all acks agree and a job adds up. */
  | ({ readonly kind: 'collectingAcks'; readonly summing: boolean } & Collected)
  | {
      readonly kind: 'keyed';
      readonly result: KeyShareSet;
      /** Kept to help those who are behind. */
      readonly dealings: ReadonlyMap<number, HeldDealing>;
      readonly acks: ReadonlyMap<number, SignedAck>;
    }
  /** A dealer cheated: this session will never make a key. */
  | { readonly kind: 'failed'; readonly complaint: SignedComplaint };

/** The states in which parts are still taken. */
export type Open = Exclude<DkgState, { readonly kind: 'keyed' | 'failed' }>;

export type DkgFact =
  | { readonly kind: 'announced'; readonly boxSecret: Uint8Array; readonly key: SignedKey }
  | { readonly kind: 'dealt'; readonly dealing: SignedDealing }
  | { readonly kind: 'accepted'; readonly dealing: SignedDealing; readonly share: Uint8Array }
  | { readonly kind: 'acked'; readonly ack: SignedAck }
  | { readonly kind: 'keyed'; readonly result: KeyShareSet }
  | { readonly kind: 'failed'; readonly complaint: SignedComplaint };

export type DkgFault =
  /** The carrier handed over a part its author never signed. */
  | { readonly kind: 'invalidSignature'; readonly culprit: NodeId; readonly part: string }
  | {
      readonly kind: 'keyEquivocation';
      readonly culprit: NodeId;
      readonly keys: readonly [SignedKey, SignedKey];
    }
  | {
      readonly kind: 'dealingEquivocation';
      readonly culprit: NodeId;
      readonly dealings: readonly [SignedDealing, SignedDealing];
    }
  | {
      readonly kind: 'ackEquivocation';
      readonly culprit: NodeId;
      readonly acks: readonly [SignedAck, SignedAck];
    }
  /** A dealing that lists a key its owner never signed. */
  | {
      readonly kind: 'invalidKeyList';
      readonly culprit: NodeId;
      readonly dealing: SignedDealing;
    }
  /** The opened complaint shows a share that does not fit its commitment. */
  | { readonly kind: 'badShare'; readonly culprit: NodeId; readonly complaint: SignedComplaint }
  /** The opened complaint shows that the share fits. */
  | {
      readonly kind: 'falseComplaint';
      readonly culprit: NodeId;
      readonly complaint: SignedComplaint;
    };

export interface Dkg {
  readonly input: never;
  readonly message: DkgMessage;
  readonly fact: DkgFact;
  readonly output:
    | { readonly kind: 'keyed'; readonly result: KeyShareSet }
    | { readonly kind: 'failed'; readonly complaint: SignedComplaint };
  readonly fault: DkgFault;
  readonly timer: 'gossip';
  readonly job: DkgJob;
  readonly result: DkgResult;
}
