/** The handover of one key at one node that held the key, inherits from it, or both. */
import type { NodeId } from '#core/machine.ts';
import type { XorName } from '#address/xor-name.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type {
  BadShare,
  Charter,
  CombineJob,
  CombineResult,
  SectionState,
  SignedSuccessor,
  SuccessorRecord,
  ThresholdCollector,
} from '#protocol/section/index.ts';
import type {
  HandoverMessage,
  InheritanceReceipt,
  SnapshotPage,
  SuccessorShare,
} from './messages.ts';

export interface HandoverConfig {
  /** This node: an old elder, a new one, or both. */
  readonly name: XorName;
  /** The key's final generation (phase `closing`): it names the charters. */
  readonly closing: SectionState;
  readonly identity: IdentitySuite;
  readonly identitySeed: Uint8Array;
  /** This node's share of the old key, 32 bytes; null when it has none, or has erased it. */
  readonly secretShare: Uint8Array | null;
  /** N10: this node lost its state under this key, so it acts as an incoming elder only. */
  readonly abstain?: boolean;
  /** First interval between repeated requests; it doubles up to 16-fold. */
  readonly repeatEveryMs: number;
}

export interface HandoverState {
  /** This elder's signed snapshot; once set, it signs no money under this key (N22). */
  readonly ownSnapshot: SignedSnapshot | null;
  /** The first signed root of each old elder. */
  readonly roots: ReadonlyMap<number, SignedSnapshot>;
  /** Elders that signed two roots: this node does not propose their snapshots. */
  readonly rootEquivocators: ReadonlySet<number>;
  /** By elder and root: snapshots that proposals cite and this node has yet to fetch (N9). */
  readonly referencedSnapshots: ReadonlyMap<string, SignedSnapshot>;
  /** Elders whose snapshot with that root is here and checked (N23). */
  readonly heldSnapshots: ReadonlySet<number>;
  readonly proposed: boolean;
  /** N20: the only record this elder signs, also after a restart. */
  readonly chosenRecord: SuccessorRecord | null;
  readonly ownShare: Uint8Array | null;
  /** Shares by elder, received before the record was chosen. */
  readonly earlyShares: ReadonlyMap<number, SuccessorShare>;
  /** Shares of the chosen record's signature. */
  readonly collector: ThresholdCollector | null;
  readonly successor: SignedSuccessor | null;
  /** Signed successors being verified, by sender: one each, so that a false one delays no other. */
  readonly verifying: ReadonlyMap<NodeId, SignedSuccessor>;
  /**
   * Peers that sent a false link. Honest peers forward only verified ones, so these get no second
   * check.
   */
  readonly invalidSuccessorFrom: ReadonlySet<NodeId>;
  /** This new elder holds all entries that were sealed. */
  readonly inherited: boolean;
  readonly activated: boolean;
  /** By child and elder: "0|3". */
  readonly receipts: ReadonlyMap<string, InheritanceReceipt>;
  /** Five receipts per child: this node's snapshots are no longer needed (N27). */
  readonly released: boolean;
  readonly round: number;
}

export type HandoverFact =
  | { readonly kind: 'snapshotSigned'; readonly snapshot: SignedSnapshot }
  /** N20: the store MUST refuse a second one under one key. */
  | { readonly kind: 'recordChosen'; readonly record: SuccessorRecord }
  | { readonly kind: 'succeeded'; readonly signed: SignedSuccessor }
  | { readonly kind: 'inherited' }
  | { readonly kind: 'receipt'; readonly receipt: InheritanceReceipt }
  | { readonly kind: 'released' };

export type HandoverInput =
  /** All money is stopped and on disk; `root` is that of this elder's snapshot (N22). */
  | { readonly kind: 'moneySealed'; readonly root: Uint8Array }
  /** This elder's snapshot with this root is held and every entry checked (N23). */
  | { readonly kind: 'snapshotHeld'; readonly elder: number; readonly root: Uint8Array }
  /**
   * N9: all snapshots that proposals cite; this elder can validate those proposals only when it
   * holds them. Replaces the previous list.
   */
  | { readonly kind: 'snapshotsReferenced'; readonly snapshots: readonly SignedSnapshot[] }
  /** Answers `merge`. */
  | {
      readonly kind: 'merged';
      readonly snapshots: readonly SignedSnapshot[];
      readonly sealedRoot: Uint8Array;
    }
  /** The sealed set is decided and the state sealed (phase `sealed`). */
  | { readonly kind: 'sealed'; readonly state: SectionState }
  /** Anti-entropy delivered the verified link. */
  | { readonly kind: 'succeeded'; readonly signed: SignedSuccessor }
  /** This new elder holds the merged entries of this root, and those of every earlier epoch. */
  | { readonly kind: 'inherited'; readonly sealedRoot: Uint8Array };

export type HandoverOutput =
  /** Stop money now: answer with `moneySealed`. */
  | { readonly kind: 'freezeMoney' }
  /** Fetch this list by pages, from these peers. `elder` null: the merged list. */
  | {
      readonly kind: 'fetch';
      readonly root: Uint8Array;
      readonly elder: number | null;
      readonly from: readonly NodeId[];
    }
  /** Merge exactly these, all held: answer with `merged`. */
  | { readonly kind: 'merge'; readonly snapshots: readonly SignedSnapshot[] }
  /** Propose this sealed set to the agreement. */
  | {
      readonly kind: 'propose';
      readonly snapshots: readonly SignedSnapshot[];
      readonly sealedRoot: Uint8Array;
    }
  /** A peer requests a page: send it if the list is here. */
  | {
      readonly kind: 'serve';
      readonly to: NodeId;
      readonly root: Uint8Array;
      readonly start: number;
    }
  | { readonly kind: 'page'; readonly from: NodeId; readonly page: SnapshotPage }
  /** The link is signed: publish it. */
  | { readonly kind: 'succeeded'; readonly signed: SignedSuccessor }
  /** N18: destroy this node's share of the old key. */
  | { readonly kind: 'eraseShare' }
  /** This node may activate as an elder of this child. */
  | {
      readonly kind: 'activateKey';
      readonly child: number;
      readonly charter: Charter;
      readonly signed: SignedSuccessor;
    }
  /** The stored snapshots may be deleted. */
  | { readonly kind: 'releaseSnapshots' };

export type HandoverFault =
  /** Two signed roots of one elder. */
  | {
      readonly kind: 'rootEquivocation';
      readonly culprit: NodeId;
      readonly roots: readonly [SignedSnapshot, SignedSnapshot];
    }
  | { readonly kind: 'badRoot'; readonly culprit: NodeId }
  | BadShare
  | { readonly kind: 'badSuccessor'; readonly culprit: NodeId }
  | { readonly kind: 'badReceipt'; readonly culprit: NodeId };

export type HandoverJob =
  | { readonly kind: 'sign'; readonly secretShare: Uint8Array; readonly record: SuccessorRecord }
  | CombineJob
  | { readonly kind: 'verify'; readonly signed: SignedSuccessor };

export type HandoverResult =
  | { readonly kind: 'signed'; readonly signature: Uint8Array }
  | CombineResult
  | { readonly kind: 'verified'; readonly good: boolean };

export type HandoverJobId =
  { readonly kind: 'sign' | 'combine' } | { readonly kind: 'verify'; readonly from: NodeId };

export interface HandoverProtocol {
  readonly input: HandoverInput;
  readonly message: HandoverMessage;
  readonly fact: HandoverFact;
  readonly output: HandoverOutput;
  readonly fault: HandoverFault;
  readonly timer: 'repeat';
  readonly job: HandoverJob;
  readonly jobId: HandoverJobId;
  readonly result: HandoverResult;
}
