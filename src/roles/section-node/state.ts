/** One node of the network: what it knows, what it is doing, and the words it uses. */
import type { SectionTree } from '#protocol/section/index.ts';
import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type { AgreementFact, AgreementFault, AgreementState } from '#protocol/agreement/index.ts';
import type { FaultDetectionState } from '#protocol/fault-detection/index.ts';
import type { DkgFact, DkgFault, DkgState, DkgSuites } from '#protocol/dkg/index.ts';
import type {
  HandoverFact,
  HandoverFault,
  HandoverMessage,
  HandoverOutput,
  HandoverState,
} from '#protocol/handover/index.ts';
import type {
  ActBody,
  ReadyProof,
  SealedSet,
  SignedSnapshot,
  SectionEvent,
  TicketProof,
} from '#protocol/membership/index.ts';
import type {
  DkgSession,
  Fork,
  Moving,
  SealedState,
  SectionAuthority,
  SectionState,
  SignedSuccessor,
  SnapshotRoot,
  TrustAnchor,
  VerifiedUpdate,
} from '#protocol/section/index.ts';
import type { Collector } from './collector.ts';
import type { SectionNodeJob, SectionNodeResult } from './jobs.ts';
import type { JoinRefusal, NodeMessage } from './messages.ts';

export interface SectionNodeConfig {
  /** Hex of the node's name. */
  readonly self: NodeId;
  readonly name: XorName;
  readonly identitySeed: Uint8Array;
  /** N12: what dealings are sealed to while the node sleeps; 32 bytes each. */
  readonly sharingKey: Uint8Array;
  readonly sharingSecret: Uint8Array;
  readonly anchor: TrustAnchor;
  readonly suites: DkgSuites;
  /** How often unanswered words are repeated. */
  readonly paceMs: number;
  /** How often a node asks its peers whether they are there. */
  readonly roundMs: number;
  /** N40: answered rounds a member may be silent before it is held to be gone. */
  readonly graceRounds: number;
  /** N10: a test says it beforehand; a real node finds out by itself (`forgot` in its state). */
  readonly silentUnder: Uint8Array | null;
}

/** A share of a section key, and the place it has among the seven. */
export interface HeldShare {
  /** 96 bytes. */
  readonly key: Uint8Array;
  /** 32 bytes, secret. */
  readonly secretShare: Uint8Array;
  /** 1…7. */
  readonly index: number;
}

/** Where an elder stands in making the next generation. */
export type Stage =
  | { readonly kind: 'agreeing' }
  /** Decided; shares of the churn signature are coming in (N36). */
  | {
      readonly kind: 'churning';
      readonly acts: readonly Uint8Array[];
      readonly collector: Collector;
    }
  /** A job applies the acts to the agreed state. */
  | { readonly kind: 'applying' }
  /** Applied; shares of the seal are coming in. */
  | { readonly kind: 'sealing'; readonly next: SectionState; readonly collector: Collector };

/** An elder's work on one generation. */
export interface Desk {
  /** The generation being made. */
  readonly generation: bigint;
  readonly share: HeldShare;
  /** Null for the first state of a key: there is nothing to agree on, only to seal. */
  readonly agreement: AgreementState | null;
  readonly stage: Stage;
  /** Our own share of the churn signature: whoever is still there may lack it. */
  readonly churnShare: Uint8Array | null;
  /** Shares of elders that are ahead of us, by elder index. */
  readonly early: {
    readonly churn: ReadonlyMap<number, Uint8Array>;
    readonly seal: ReadonlyMap<number, Uint8Array>;
  };
  /** By act id: the endorsements held for this generation. */
  readonly endorsements: ReadonlyMap<string, Endorsed>;
  /** Ids of acts proposed already. */
  readonly offered: ReadonlySet<string>;
  /** N10: names of all statements that this elder made in this generation. */
  readonly said: ReadonlySet<string>;
}

export interface Endorsed {
  readonly body: ActBody;
  /** By elder index. */
  readonly signatures: ReadonlyMap<number, Uint8Array>;
}

/** Until four others have answered, nothing new is said. */
export interface Recall {
  /** Who answered in the generation this node is in. */
  readonly answered: ReadonlySet<NodeId>;
  /** What the store says of this generation. */
  readonly facts: readonly AgreementFact[];
}

/** A node that asked to come in. */
export interface Arrival {
  readonly name: XorName;
  readonly sharingKey: Uint8Array;
  readonly ticket: TicketProof | null;
  /** This elder reached it at its addresses (N40); null while it is being tried. */
  readonly reachable: boolean | null;
}

/** Local opinion: what this elder would endorse (N7). */
export interface Opinions {
  readonly arrivals: ReadonlyMap<NodeId, Arrival>;
  /** Members that are gone, worst first. */
  readonly gone: readonly XorName[];
  /** Members that are there but work badly. */
  readonly faulty: readonly XorName[];
  /** Join places the section should have; null for "as it is". */
  readonly places: number | null;
  /** This wish ends when it is granted. */
  readonly placesOnce: boolean;
}

/** What one key generation is about; all that its configuration follows from. */
export interface SessionPlan {
  readonly session: DkgSession;
  readonly child: number;
  readonly networkId: Uint8Array;
  /** The key under which the session was opened, and its epoch. */
  readonly parentKey: Uint8Array;
  readonly epoch: bigint;
  /** Of candidates 1…7. */
  readonly fallbackKeys: readonly Uint8Array[];
  /** This node was away while the key was made; such a plan is on no disk. */
  readonly late?: boolean;
}

export interface KeyGeneration {
  readonly plan: SessionPlan;
  readonly state: DkgState;
}

/** One candidate's readiness proof (N13) and how far its check is. */
export interface HeldReady {
  readonly proof: ReadyProof;
  /** A bad one keeps its place: its sender gets no second check in this session. */
  readonly stage: 'waiting' | 'checking' | 'good' | 'bad';
}

/** The end of a key's reign, seen from one of its elders, its heirs, or both. */
export interface Ending {
  /** The state that decided it, as the handover's words name it. */
  readonly closing: SectionState;
  readonly state: HandoverState | null;
  /** Sealed sets this elder would propose. */
  readonly sets: readonly SealedSet[];
  /** Merged roots by the snapshots they were merged from. */
  readonly merged: ReadonlyMap<string, Uint8Array>;
  /** `elder.root` of snapshots that are here and checked, whoever cited them. */
  readonly held: ReadonlySet<string>;
  /** The shell was asked to merge these, for our own proposal or to judge another's. */
  readonly merging: ReadonlyMap<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly isOwn: boolean }
  >;
  /** The link, once this node may begin under the next key. */
  readonly activated: SignedSuccessor | null;
}

/** A member on its way out, gathering its ticket. */
export interface Mover {
  readonly moving: Moving;
  /** Whose elders sign it. */
  readonly authority: SectionAuthority;
  readonly collector: Collector;
  readonly done: boolean;
}

export interface SectionNodeState {
  readonly tree: SectionTree;
  /** The newest sealed state of this node's section; null while it knows none. */
  readonly own: SealedState | null;
  /**
   * The last state under the key before that. Its members have work with this section until the next
   * handover; after a split half of them are named by no other state that this node holds.
   */
  readonly previous: SectionAuthority | null;
  /** Peers that the shell told this node to ask, the newest last. */
  readonly asked: readonly NodeId[];
  /** Key shares by hex of the section key. */
  readonly shares: ReadonlyMap<string, HeldShare>;
  readonly desk: Desk | null;
  /** N10: since its start this node asks the other elders what it said; null when it knows. */
  readonly recall: Recall | null;
  /** N10: keys (hex) under which it said what its store does not hold. */
  readonly forgot: ReadonlySet<string>;
  readonly opinions: Opinions;
  /** Key generations by session and child. */
  readonly sessions: ReadonlyMap<string, KeyGeneration>;
  /** Readiness proofs by session and child, then by sender: a candidate of that child, one each. */
  readonly ready: ReadonlyMap<string, ReadonlyMap<NodeId, HeldReady>>;
  /** The present key, or the last one, comes to its end. */
  readonly ending: Ending | null;
  readonly joining: {
    readonly ticket: TicketProof | null;
    readonly refused: JoinRefusal | null;
  } | null;
  readonly wasMember: boolean;
  readonly moving: Mover | null;
  /** Counts this node's rounds of pings. */
  readonly round: number;
  /** Of which peers anything came in the present round. */
  readonly answered: ReadonlySet<NodeId>;
  /** What this elder has seen others do and leave undone. */
  readonly faults: FaultDetectionState;
  /**
   * Who was told, or asked, since the present state and round began, and the key (hex) that it may ask
   * on from: the end of the page it was told. Empty when there is nothing more to say.
   */
  readonly told: ReadonlyMap<NodeId, string>;
  /** Updates whose proofs are being checked, with their senders. */
  readonly verifying: ReadonlyMap<string, NodeId>;
}

export type SectionNodeFact =
  | { readonly kind: 'sealed'; readonly sealed: Uint8Array }
  /** Encoded records, oldest first, ≤ 16: the keys this node can follow. */
  | { readonly kind: 'links'; readonly links: readonly Uint8Array[] }
  | {
      readonly kind: 'agreement';
      readonly key: Uint8Array;
      readonly generation: bigint;
      readonly fact: AgreementFact;
    }
  | ({ readonly kind: 'share' } & HeldShare)
  | { readonly kind: 'shareErased'; readonly key: Uint8Array }
  /** N10: this store is older than what the node said under this key. */
  | { readonly kind: 'forgot'; readonly key: Uint8Array }
  | { readonly kind: 'session'; readonly id: string; readonly plan: SessionPlan }
  | { readonly kind: 'dkg'; readonly id: string; readonly fact: DkgFact }
  | { readonly kind: 'sessionOver'; readonly id: string }
  | { readonly kind: 'handover'; readonly key: Uint8Array; readonly fact: HandoverFact }
  | { readonly kind: 'joining'; readonly ticket: TicketProof | null }
  /** The section has voted this name out: it is no member under any later state. */
  | { readonly kind: 'removed' };

export type SectionNodeInput =
  /** A sealed state from outside the section's own messages: a join point, a file. */
  | { readonly kind: 'know'; readonly sealed: Uint8Array }
  /** Asks these peers for the newest state of the section: a join point named them. */
  | { readonly kind: 'ask'; readonly peers: readonly NodeId[] }
  /** A page of links, with the authority it ends at, that the shell asked for and has verified. */
  | { readonly kind: 'learn'; readonly update: VerifiedUpdate }
  /** Founders only: the share of the first key. */
  | ({ readonly kind: 'found'; readonly sealed: Uint8Array } & HeldShare)
  | { readonly kind: 'join'; readonly ticket: TicketProof | null }
  /** Answer to the output `probe`. */
  | { readonly kind: 'reached'; readonly name: XorName; readonly reachable: boolean }
  /** `once`: the wish ends when the section has so many places, however many are taken then. */
  | { readonly kind: 'placesWanted'; readonly places: number | null; readonly once?: boolean }
  /** What the shell saw a member do wrong: fault detection makes of it what it is worth. */
  | { readonly kind: 'misbehaved'; readonly name: XorName; readonly issue: 'data' | 'falsehood' }
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
  /** Answers `merge`, too: it failed here, and may be asked for again. */
  | {
      readonly kind: 'unmerged';
      readonly key: Uint8Array;
      readonly snapshots: readonly SnapshotRoot[];
    }
  /** Answers `fetch` of the merged list. */
  | { readonly kind: 'inherited'; readonly key: Uint8Array; readonly sealedRoot: Uint8Array }
  /** Asks a peer for a page, or sends one. */
  | {
      readonly kind: 'say';
      readonly key: Uint8Array;
      readonly to: readonly NodeId[];
      readonly message: HandoverMessage;
    };

export type Standing = 'elder' | 'adult' | 'outside';

export type SectionNodeOutput =
  /** The newest state of this node's section, and what the node is in it. */
  | {
      readonly kind: 'adopted';
      readonly sealed: SealedState;
      /** The last state of this section under the key before it, or null for the first. */
      readonly previous: SectionAuthority | null;
      readonly standing: Standing;
      /** Held by elders only. */
      readonly share: HeldShare | null;
    }
  /**
   * Proven links, and the newest authority of another section if they lead to one. At the start: all
   * links this node had followed.
   */
  | { readonly kind: 'learned'; readonly update: VerifiedUpdate }
  /** What a decision changed, for screen and log. */
  | {
      readonly kind: 'happened';
      readonly generation: bigint;
      readonly events: readonly SectionEvent[];
    }
  /** Try to reach a joiner at its addresses (N40). */
  | { readonly kind: 'probe'; readonly name: XorName }
  | { readonly kind: 'refused'; readonly by: NodeId; readonly reason: JoinRefusal }
  /** Voted out, or taken for gone. */
  | { readonly kind: 'removed' }
  /** N10: the store is older than what this node said: it is silent until the next key. */
  | { readonly kind: 'forgot'; readonly key: Uint8Array }
  /** A whole ticket: take a new name under it and start again as that node. */
  | {
      readonly kind: 'relocate';
      readonly moving: Moving;
      readonly sourceKey: Uint8Array;
      readonly sourceEpoch: bigint;
      readonly signature: Uint8Array;
    }
  /** N22: stop all money under this key, durably, and say what is held. */
  | { readonly kind: 'sealMoney'; readonly key: Uint8Array }
  /** Fetch this list by pages (`say`), check it, answer `snapshotHeld` or, for null, `inherited`. */
  | ({ readonly key: Uint8Array } & Extract<
      HandoverOutput,
      { readonly kind: 'fetch' | 'serve' | 'page' | 'merge' }
    >)
  /** Snapshots of this key may be deleted. */
  | { readonly kind: 'release'; readonly key: Uint8Array }
  /** N33: one key signed two successors. Both are kept and shown. */
  | ({ readonly kind: 'forked' } & Fork);

export type SectionNodeFault =
  | { readonly kind: 'agreement'; readonly culprit: NodeId; readonly fault: AgreementFault }
  | { readonly kind: 'dkg'; readonly culprit: NodeId; readonly fault: DkgFault }
  | { readonly kind: 'handover'; readonly culprit: NodeId; readonly fault: HandoverFault }
  | {
      readonly kind:
        | 'invalidShare'
        | 'falseEndorsement'
        /** Its readiness proof does not verify. */
        | 'falseReadiness'
        | 'malformedEndorsement'
        | 'malformedUpdate'
        | 'unprovenUpdate'
        | 'malformedJoin'
        | 'notElder';
      readonly culprit: NodeId;
    };

/**
 * Faults that lie in the message alone: what does not decode came from no program of ours, whatever its
 * sender knows. All others may also befall a node that is behind, ahead or has just restarted.
 */
export const isMalformed = ({ kind }: SectionNodeFault): boolean =>
  kind === 'malformedEndorsement' || kind === 'malformedUpdate' || kind === 'malformedJoin';

export interface SectionNode {
  readonly input: SectionNodeInput;
  readonly message: NodeMessage;
  readonly fact: SectionNodeFact;
  readonly output: SectionNodeOutput;
  readonly fault: SectionNodeFault;
  readonly timer: string;
  readonly job: SectionNodeJob;
  readonly result: SectionNodeResult;
}
