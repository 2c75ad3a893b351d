/** One old key at one node that held it, inherits it, or both. */
import type { NodeId } from '#core/machine.ts';
import type { XorName } from '#address/xor-name.ts';
import type { SignatureShare } from '#crypto/bls.ts';
import type { IdentitySuite } from '#money/identity.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type {
  Charter,
  SectionElder,
  SectionState,
  SignedSuccessor,
  SuccessorRecord,
} from '#protocol/section/index.ts';
import type { HandoverMessage, Receipt, SnapshotPage } from './messages.ts';

export interface HandoverConfig {
  /** This node: an old elder, a new one, or both. */
  readonly name: XorName;
  /** The key's final generation (phase `closing`): it names the charters. */
  readonly closing: SectionState;
  readonly identity: IdentitySuite;
  readonly identitySeed: Uint8Array;
  /** This node's share of the old key, 32 bytes; null when it has none, or has erased it. */
  readonly secretShare: Uint8Array | null;
  /** N10: what it said under this key is lost, so it acts as an heir only. */
  readonly silent?: boolean;
  /** First pause before news is asked for again; it doubles up to 16-fold. */
  readonly repeatEveryMs: number;
}

export interface HandoverState {
  /** This elder's own word; from then on it signs no money under this key (N22). */
  readonly stopped: SignedSnapshot | null;
  /** The first signed root of each old elder. */
  readonly roots: ReadonlyMap<number, SignedSnapshot>;
  /** Elders that signed two roots: this node proposes neither. */
  readonly twoFaced: ReadonlySet<number>;
  /** By elder and root: what others' proposals cite and this node has yet to fetch (N9). */
  readonly cited: ReadonlyMap<string, SignedSnapshot>;
  /** Elders whose snapshot, of that root, is here and checked (N23). */
  readonly held: ReadonlySet<number>;
  readonly proposed: boolean;
  /** N20: what this elder signs, or will sign after a restart; nothing else, ever. */
  readonly chosen: SuccessorRecord | null;
  readonly ownShare: Uint8Array | null;
  /** Shares by elder; those that came before the record was known wait here, too. */
  readonly shares: ReadonlyMap<
    number,
    { readonly record: Uint8Array; readonly signature: Uint8Array }
  >;
  readonly dropped: ReadonlySet<number>;
  readonly combining: boolean;
  readonly successor: SignedSuccessor | null;
  /** Signed successors that are being verified, by sender: one each, so that none waits for a liar's. */
  readonly verifying: ReadonlyMap<NodeId, SignedSuccessor>;
  /** Whose link was false: nobody passes on what it has not verified, so it is asked for no second. */
  readonly untrue: ReadonlySet<NodeId>;
  /** A new elder holds all that was sealed. */
  readonly inherited: boolean;
  readonly activated: boolean;
  /** By child and elder: "0|3". */
  readonly receipts: ReadonlyMap<string, Receipt>;
  /** Five receipts per child: nobody needs this node's snapshots any more (N27). */
  readonly released: boolean;
  readonly round: number;
}

export type HandoverFact =
  | { readonly kind: 'stopped'; readonly snapshot: SignedSnapshot }
  /** N20: the store MUST refuse a second one of one key. */
  | { readonly kind: 'chose'; readonly record: SuccessorRecord }
  | { readonly kind: 'succeeded'; readonly signed: SignedSuccessor }
  | { readonly kind: 'inherited' }
  | { readonly kind: 'receipt'; readonly receipt: Receipt }
  | { readonly kind: 'released' };

export type HandoverInput =
  /** Money stopped, all of it on disk, and this is the root of this elder's snapshot (N22). */
  | { readonly kind: 'moneySealed'; readonly root: Uint8Array }
  /** The snapshot of this elder with this root is here, every entry checked (N23). */
  | { readonly kind: 'snapshotHeld'; readonly elder: number; readonly root: Uint8Array }
  /** N9: proposals cite these; this elder can judge them only when it holds them. All of them: what
   * was named before and is not now is sought no more. */
  | { readonly kind: 'cited'; readonly snapshots: readonly SignedSnapshot[] }
  /** Answers `merge`. */
  | {
      readonly kind: 'merged';
      readonly snapshots: readonly SignedSnapshot[];
      readonly sealedRoot: Uint8Array;
    }
  /** The sealed set is decided and the state sealed (phase `sealed`). */
  | { readonly kind: 'sealed'; readonly state: SectionState }
  /** Anti-entropy brought the link, verified. */
  | { readonly kind: 'succeeded'; readonly signed: SignedSuccessor }
  /** A new elder holds the merged entries of this root, and those of every epoch before. */
  | { readonly kind: 'inherited'; readonly sealedRoot: Uint8Array };

export type HandoverOutput =
  /** Stop money now: answer with `moneySealed`. */
  | { readonly kind: 'stop' }
  /** Fetch this list by pages; these peers should have it. `elder` null: the merged list. */
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
  /** A peer asks for a page: send it if the list is here. */
  | {
      readonly kind: 'serve';
      readonly to: NodeId;
      readonly root: Uint8Array;
      readonly start: number;
    }
  | { readonly kind: 'page'; readonly from: NodeId; readonly page: SnapshotPage }
  /** The link is made: tell the world. */
  | { readonly kind: 'succeeded'; readonly signed: SignedSuccessor }
  /** N18: destroy this node's share of the old key. */
  | { readonly kind: 'erase' }
  /** This node may begin as an elder of this child. */
  | {
      readonly kind: 'activate';
      readonly child: number;
      readonly charter: Charter;
      readonly signed: SignedSuccessor;
    }
  /** Snapshots may be deleted. */
  | { readonly kind: 'release' };

export type HandoverFault =
  /** Two signed roots of one elder. */
  | {
      readonly kind: 'twoRoots';
      readonly culprit: NodeId;
      readonly roots: readonly [SignedSnapshot, SignedSnapshot];
    }
  | { readonly kind: 'badRoot'; readonly culprit: NodeId }
  /** Its share does not verify, or signs another record. */
  | { readonly kind: 'badShare'; readonly culprit: NodeId }
  | { readonly kind: 'badSuccessor'; readonly culprit: NodeId }
  | { readonly kind: 'badReceipt'; readonly culprit: NodeId };

export type HandoverJob =
  | { readonly kind: 'sign'; readonly secretShare: Uint8Array; readonly record: SuccessorRecord }
  | {
      readonly kind: 'combine';
      readonly elders: readonly SectionElder[];
      readonly record: SuccessorRecord;
      readonly shares: readonly SignatureShare[];
    }
  | { readonly kind: 'verify'; readonly signed: SignedSuccessor };

export type HandoverResult =
  | { readonly kind: 'signed'; readonly signature: Uint8Array }
  | {
      readonly kind: 'combined';
      readonly signature: Uint8Array | null;
      /** Indexes of elders whose shares are wrong. */
      readonly bad: readonly number[];
    }
  | { readonly kind: 'verified'; readonly good: boolean };

export interface Handover {
  readonly input: HandoverInput;
  readonly message: HandoverMessage;
  readonly fact: HandoverFact;
  readonly output: HandoverOutput;
  readonly fault: HandoverFault;
  readonly timer: 'repeat';
  readonly job: HandoverJob;
  readonly result: HandoverResult;
}
