/** Data of the section node: configuration, state, facts, inputs, outputs and faults. */
import type { BadShare, SectionTree, ThresholdCollector } from '#protocol/section/index.ts';
import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type {
  Agreement,
  AgreementFact,
  AgreementFault,
  AgreementState,
} from '#protocol/agreement/index.ts';
import type { FaultDetectionState } from '#protocol/fault-detection/index.ts';
import type { Dkg, DkgFact, DkgFault, DkgState, DkgSuites } from '#protocol/dkg/index.ts';
import type {
  HandoverFact,
  HandoverFault,
  HandoverMessage,
  HandoverOutput,
  HandoverProtocol,
  HandoverState,
} from '#protocol/handover/index.ts';
import type {
  ActBody,
  ReadyProof,
  SealedSetAct,
  SignedSnapshot,
  SectionEvent,
  RelocationCertificate,
} from '#protocol/membership/index.ts';
import type {
  DkgSession,
  Fork,
  RelocationDetails,
  SealedState,
  SectionAuthority,
  SectionState,
  SignedSuccessor,
  SnapshotRoot,
  TrustAnchor,
  VerifiedUpdate,
} from '#protocol/section/index.ts';
import type { SectionNodeJob, SectionNodeResult } from './jobs.ts';
import type { JoinRefusal, NodeMessage, SharePurpose } from './messages.ts';

export interface SectionNodeConfig {
  /** Hex of the node's name. */
  readonly self: NodeId;
  readonly name: XorName;
  readonly identitySeed: Uint8Array;
  /** N12: key pair that dealings made while the node is offline are encrypted to; 32 bytes each. */
  readonly sharingKey: Uint8Array;
  readonly sharingSecret: Uint8Array;
  readonly anchor: TrustAnchor;
  readonly suites: DkgSuites;
  /** Round timeout of the agreement, and interval for repeating unanswered messages. */
  readonly paceMs: number;
  /** Interval of ping rounds. */
  readonly roundMs: number;
  /** N40: a member counts as gone after this many unanswered rounds (only rounds that most others answered). */
  readonly graceRounds: number;
}

/** A share of a section key. */
export interface HeldShare {
  /** 96 bytes. */
  readonly key: Uint8Array;
  /** 32 bytes, secret. */
  readonly secretShare: Uint8Array;
  /** Elder index, 1…7. */
  readonly index: number;
}

/** Progress of a pending generation. */
export type GenerationStage =
  | { readonly kind: 'agreeing' }
  /** Decided; collecting shares of the churn signature (N36). */
  | {
      readonly kind: 'drawingRandomness';
      readonly acts: readonly Uint8Array[];
      readonly collector: ThresholdCollector;
    }
  /** A job applies the decided acts to the sealed state. */
  | { readonly kind: 'applying' }
  /** Applied; collecting shares of the seal. */
  | {
      readonly kind: 'sealing';
      readonly next: SectionState;
      readonly collector: ThresholdCollector;
    };

/** One generation that this elder is deciding and sealing. */
export interface PendingGeneration {
  /** Number of the generation. */
  readonly generation: bigint;
  readonly share: HeldShare;
  /** Null for the first state of a key, which is only sealed. */
  readonly agreement: AgreementState | null;
  readonly stage: GenerationStage;
  /** Our share of the churn signature, re-sent to elders that are a stage behind. */
  readonly churnShare: Uint8Array | null;
  /** Shares from elders that are a stage ahead, by elder index. */
  readonly earlyShares: {
    readonly churn: ReadonlyMap<number, Uint8Array>;
    readonly seal: ReadonlyMap<number, Uint8Array>;
  };
  /** Endorsements for this generation, by act id. */
  readonly endorsements: ReadonlyMap<string, EndorsedAct>;
  /** Ids of acts already proposed. */
  readonly proposedActs: ReadonlySet<string>;
  /** N10: keys of all statements that this elder signed in this generation. */
  readonly ownStatements: ReadonlySet<string>;
}

export interface EndorsedAct {
  readonly body: ActBody;
  /** By elder index. */
  readonly signatures: ReadonlyMap<number, Uint8Array>;
}

/** While this is set, the elder signs nothing new: four others must answer first (N10). */
export interface StateRecovery {
  /** Elders that answered for the current generation. */
  readonly answered: ReadonlySet<NodeId>;
  /** Stored agreement facts of this generation. */
  readonly facts: readonly AgreementFact[];
}

/** A join request under consideration. */
export interface JoinRequest {
  readonly name: XorName;
  readonly sharingKey: Uint8Array;
  readonly certificate: RelocationCertificate | null;
  /** Whether this elder reached the node at its addresses (N40); null while the probe runs. */
  readonly reachable: boolean | null;
}

/** Local observations, which decide only what this elder endorses (N7). */
export interface ObservationState {
  readonly joinRequests: ReadonlyMap<NodeId, JoinRequest>;
  /** Unresponsive members to vote out. At most one (`observations/suspicion.ts`). */
  readonly gone: readonly XorName[];
  /** Members to demote: they respond but misbehave. At most one. */
  readonly faulty: readonly XorName[];
  /** Vacancies the section should have; null: no change. */
  readonly vacancies: number | null;
  /** Reset `vacancies` once the section has that number. */
  readonly vacanciesOnce: boolean;
}

/** The parameters of one key generation, from which its `DkgConfig` follows. */
export interface SessionPlan {
  readonly session: DkgSession;
  readonly child: number;
  readonly networkId: Uint8Array;
  /** The section key under which the session was opened, and its epoch. */
  readonly parentKey: Uint8Array;
  readonly epoch: bigint;
  /** Sharing keys of candidates 1…7 (N12), 32 bytes each. */
  readonly fallbackKeys: readonly Uint8Array[];
  /** This node was offline during the key generation; such a plan is not persisted. */
  readonly late?: boolean;
}

export interface KeyGeneration {
  readonly plan: SessionPlan;
  readonly state: DkgState;
}

/** A candidate's readiness proof (N13) and its verification state. */
export interface HeldReadinessProof {
  readonly proof: ReadyProof;
  /** A `bad` proof stays: its sender gets no second check in this session. */
  readonly stage: 'waiting' | 'checking' | 'good' | 'bad';
}

/** A handover in progress, at an old elder, a successor elder, or both. */
export interface ActiveHandover {
  /** The closing state, as the handover's messages name it. */
  readonly closingState: SectionState;
  readonly state: HandoverState | null;
  /** Sealed sets this elder would propose. */
  readonly proposableSets: readonly SealedSetAct[];
  /** Merged roots by the snapshots they were merged from. */
  readonly mergedRoots: ReadonlyMap<string, Uint8Array>;
  /** `elder.root` of all snapshots held and verified here. */
  readonly heldSnapshots: ReadonlySet<string>;
  /** Merges requested from the shell: for our own proposal, or to validate another elder's. */
  readonly requestedMerges: ReadonlyMap<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly isOwn: boolean }
  >;
  /** The link to the next key, once this node may start under it. */
  readonly activationLink: SignedSuccessor | null;
}

/** This node's own relocation: collects shares of its relocation certificate. */
export interface OwnRelocation {
  readonly details: RelocationDetails;
  /** The source section, whose elders sign the certificate. */
  readonly authority: SectionAuthority;
  readonly collector: ThresholdCollector;
  readonly done: boolean;
}

export interface SectionNodeState {
  readonly tree: SectionTree;
  /** The newest sealed state of this node's section; null before the first. */
  readonly own: SealedState | null;
  /**
   * The last state under the previous key. Its members may contact this section until the next handover;
   * after a split, half of them are named in no other state held here.
   */
  readonly previous: SectionAuthority | null;
  /** Peers that the shell asked to query, the newest last. */
  readonly queriedPeers: readonly NodeId[];
  /** Key shares by hex of the section key. */
  readonly shares: ReadonlyMap<string, HeldShare>;
  readonly pendingGeneration: PendingGeneration | null;
  /** N10: queries the other elders for our own statements after a start; null once they have answered. */
  readonly stateRecovery: StateRecovery | null;
  /** N10: section keys (hex) under which it signed statements that its store lost. */
  readonly keysWithLostState: ReadonlySet<string>;
  readonly observations: ObservationState;
  /** Key generations by session and child. */
  readonly sessions: ReadonlyMap<string, KeyGeneration>;
  /** Readiness proofs by session and child, then by sender: one per candidate of that child. */
  readonly readinessProofs: ReadonlyMap<string, ReadonlyMap<NodeId, HeldReadinessProof>>;
  /** Handover of the current key or the previous one. */
  readonly activeHandover: ActiveHandover | null;
  readonly joining: {
    readonly certificate: RelocationCertificate | null;
    readonly refused: JoinRefusal | null;
  } | null;
  readonly wasMember: boolean;
  readonly relocation: OwnRelocation | null;
  /** Number of the current ping round. */
  readonly pingRound: number;
  /** Peers that sent any message in this round. */
  readonly respondedPeers: ReadonlySet<NodeId>;
  /** What this elder observed of other members. */
  readonly faults: FaultDetectionState;
  /**
   * Peers that were sent an update or asked for one, in this state and round, with the key (hex) from
   * which each may request the next page: the end of the last page. Empty: nothing more to send.
   */
  readonly sentUpdates: ReadonlyMap<NodeId, string>;
  /** Proofs being verified: job id to sender. */
  readonly verifying: ReadonlyMap<string, NodeId>;
}

export type SectionNodeFact =
  | { readonly kind: 'sealed'; readonly sealed: Uint8Array }
  /** Up to 16 encoded successor records, oldest first: the keys this node can follow. */
  | { readonly kind: 'links'; readonly links: readonly Uint8Array[] }
  | {
      readonly kind: 'agreement';
      readonly key: Uint8Array;
      readonly generation: bigint;
      readonly fact: AgreementFact;
    }
  | ({ readonly kind: 'share' } & HeldShare)
  | { readonly kind: 'shareErased'; readonly key: Uint8Array }
  /** N10: this store lost statements that the node signed under this key. */
  | { readonly kind: 'stateLost'; readonly key: Uint8Array }
  | { readonly kind: 'session'; readonly id: string; readonly plan: SessionPlan }
  | { readonly kind: 'dkg'; readonly id: string; readonly fact: DkgFact }
  | { readonly kind: 'sessionOver'; readonly id: string }
  | { readonly kind: 'handover'; readonly key: Uint8Array; readonly fact: HandoverFact }
  | { readonly kind: 'joining'; readonly certificate: RelocationCertificate | null }
  /** The section voted this name out. */
  | { readonly kind: 'removed' };

export type SectionNodeInput =
  /** A sealed state from a join point or a file. */
  | { readonly kind: 'addState'; readonly sealed: Uint8Array }
  /** Asks these peers, named by a join point, for the newest state of the section. */
  | { readonly kind: 'queryPeers'; readonly peers: readonly NodeId[] }
  /** A page of links with the authority it ends at, fetched and verified by the shell. */
  | { readonly kind: 'addProof'; readonly update: VerifiedUpdate }
  /** Founders only: the share of the first key. */
  | ({ readonly kind: 'startAsFounder'; readonly sealed: Uint8Array } & HeldShare)
  | { readonly kind: 'join'; readonly certificate: RelocationCertificate | null }
  /** Answer to the output `probe`. */
  | { readonly kind: 'reached'; readonly name: XorName; readonly reachable: boolean }
  /** `once`: reset when the section has that many vacancies, however many are filled later. */
  | { readonly kind: 'setVacancies'; readonly vacancies: number | null; readonly once?: boolean }
  /** The shell observed a fault of a member; fault detection weighs it. */
  | {
      readonly kind: 'misbehaved';
      readonly name: XorName;
      readonly issue: 'missingCopy' | 'provable';
    }
  /** Answer to `sealMoney`: all signing under this key has stopped. */
  | { readonly kind: 'moneySealed'; readonly key: Uint8Array; readonly root: Uint8Array }
  /** Answers `fetch` of an elder's snapshot. */
  | {
      readonly kind: 'snapshotHeld';
      readonly key: Uint8Array;
      readonly elder: number;
      readonly root: Uint8Array;
    }
  /** Answers `merge`. */
  | {
      readonly kind: 'merged';
      readonly key: Uint8Array;
      readonly snapshots: readonly SnapshotRoot[];
      readonly root: Uint8Array;
    }
  /** Answers `merge`: it failed, and may be requested again. */
  | {
      readonly kind: 'unmerged';
      readonly key: Uint8Array;
      readonly snapshots: readonly SnapshotRoot[];
    }
  /** Answers `fetch` of the merged list. */
  | { readonly kind: 'inherited'; readonly key: Uint8Array; readonly sealedRoot: Uint8Array }
  /** Sends a page request or a page to a peer. */
  | {
      readonly kind: 'sendHandover';
      readonly key: Uint8Array;
      readonly to: readonly NodeId[];
      readonly message: HandoverMessage;
    };

export type MemberRole = 'elder' | 'adult' | 'outsider';

export type SectionNodeOutput =
  /** The newest state of this node's section, and the node's role in it. */
  | {
      readonly kind: 'adopted';
      readonly sealed: SealedState;
      /** The last state of this section under the previous key; null for the first key. */
      readonly previous: SectionAuthority | null;
      readonly role: MemberRole;
      /** Null unless the role is `elder`. */
      readonly share: HeldShare | null;
    }
  /**
   * Verified links, with the newest authority of another section if they lead to one. At each start: all
   * stored links.
   */
  | { readonly kind: 'learned'; readonly update: VerifiedUpdate }
  /** What a decision changed, for display and log. */
  | {
      readonly kind: 'sectionEvents';
      readonly generation: bigint;
      readonly events: readonly SectionEvent[];
    }
  /** Try to reach a joining node at its addresses (N40). */
  | { readonly kind: 'probe'; readonly name: XorName }
  | { readonly kind: 'refused'; readonly by: NodeId; readonly reason: JoinRefusal }
  /** No longer a member and not relocating: voted out. */
  | { readonly kind: 'removed' }
  /** N10: the store lost statements of this node: it abstains until the next key. */
  | { readonly kind: 'stateLost'; readonly key: Uint8Array }
  /** A complete relocation certificate: create a new name under it and restart as that node. */
  | {
      readonly kind: 'relocate';
      readonly details: RelocationDetails;
      readonly sourceKey: Uint8Array;
      readonly sourceEpoch: bigint;
      readonly signature: Uint8Array;
    }
  /** N22: stop all signing of money under this key, durably, and answer `moneySealed`. */
  | { readonly kind: 'sealMoney'; readonly key: Uint8Array }
  /**
   * `fetch`: get this list by pages (`sendHandover`), verify it, answer `snapshotHeld`, or `inherited` if
   * its elder is null. `serve`, `page`, `merge`: see README.
   */
  | ({ readonly key: Uint8Array } & Extract<
      HandoverOutput,
      { readonly kind: 'fetch' | 'serve' | 'page' | 'merge' }
    >)
  /** Snapshots of this key may be deleted. */
  | { readonly kind: 'release'; readonly key: Uint8Array }
  /** N33: one key signed two successors. Keep and show both records. */
  | ({ readonly kind: 'forked' } & Fork);

export type SectionNodeFault =
  | { readonly kind: 'agreement'; readonly culprit: NodeId; readonly fault: AgreementFault }
  | { readonly kind: 'dkg'; readonly culprit: NodeId; readonly fault: DkgFault }
  | { readonly kind: 'handover'; readonly culprit: NodeId; readonly fault: HandoverFault }
  | BadShare
  | {
      readonly kind:
        | 'invalidEndorsement'
        /** Its readiness proof does not verify. */
        | 'invalidReadinessProof'
        | 'malformedEndorsement'
        | 'malformedUpdate'
        | 'invalidUpdate'
        | 'malformedJoin'
        | 'notElder';
      readonly culprit: NodeId;
    };

/**
 * Faults provable from the message alone: our software never sends bytes that do not decode. All other
 * faults can also happen to a node that is behind, ahead or has just restarted.
 */
export const isMalformed = ({ kind }: SectionNodeFault): boolean =>
  kind === 'malformedEndorsement' || kind === 'malformedUpdate' || kind === 'malformedJoin';

/** What a job was started for. */
export type SectionNodeJobId =
  | { readonly kind: 'share'; readonly generation: bigint; readonly of: SharePurpose }
  | {
      readonly kind: 'combineShares';
      readonly generation: bigint;
      readonly stage: GenerationStage['kind'];
    }
  | { readonly kind: 'apply'; readonly generation: bigint }
  | { readonly kind: 'agreement'; readonly generation: bigint; readonly id: Agreement['jobId'] }
  /** A state or a page of links, by the hash of its bytes. */
  | { readonly kind: 'verifyState' | 'verifyLinks'; readonly hash: string }
  | { readonly kind: 'dkg'; readonly instance: string; readonly id: Dkg['jobId'] }
  | { readonly kind: 'checkReadiness'; readonly instance: string; readonly from: NodeId }
  | { readonly kind: 'handover'; readonly id: HandoverProtocol['jobId'] }
  | { readonly kind: 'certificateShare'; readonly member: NodeId }
  | { readonly kind: 'combineCertificate' };

export type SectionNodeTimer =
  | { readonly kind: 'pingRound' | 'propose' | 'stateRecovery' | 'generation' | 'handover' }
  | { readonly kind: 'agreement'; readonly timer: Agreement['timer'] }
  | { readonly kind: 'dkg'; readonly instance: string };

export interface SectionNode {
  readonly input: SectionNodeInput;
  readonly message: NodeMessage;
  readonly fact: SectionNodeFact;
  readonly output: SectionNodeOutput;
  readonly fault: SectionNodeFault;
  readonly timer: SectionNodeTimer;
  readonly job: SectionNodeJob;
  readonly jobId: SectionNodeJobId;
  readonly result: SectionNodeResult;
}
