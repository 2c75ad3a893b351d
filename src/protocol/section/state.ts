/**
 * What a section has agreed on, generation by generation: the public authority and the section
 * ledger, which only nodes need. The section key seals both: the authority's signature covers the
 * ledger's hash, so one sealed state is enough without older ones (N11).
 */
import type { GenesisOutput } from '#money/spend-certificate.ts';
import type { Prefix } from '#address/prefix.ts';
import type { XorName } from '#address/xor-name.ts';

export interface SectionElder {
  readonly name: XorName;
  /** 96 bytes: verifies this elder's signature shares. */
  readonly publicShare: Uint8Array;
  /** 1…7, the position among the sorted elders: the abscissa of the elder's key share. */
  readonly index: number;
}

export interface SectionMember {
  /** The last byte is the node's age. */
  readonly name: XorName;
  /** The generation that admitted it; 0 for founders. */
  readonly joined: bigint;
  /** 32 bytes: decides which data it keeps (N37). */
  readonly placement: Uint8Array;
  /** 32 bytes: dealings are encrypted to it while the member has no session key (N12). */
  readonly sharingKey: Uint8Array;
}

export interface SectionAuthority {
  readonly networkId: Uint8Array;
  readonly prefix: Prefix;
  /** 96 bytes: the section's public key. */
  readonly key: Uint8Array;
  /** Handovers since genesis. */
  readonly epoch: bigint;
  /** Counts decisions, also across handovers; 0 at genesis. */
  readonly generation: bigint;
  /** Seven, sorted by name. */
  readonly elders: readonly SectionElder[];
  /** Elders and adults, sorted by name. */
  readonly members: readonly SectionMember[];
  /** 32 bytes: hash of the section ledger (ledger.ts). */
  readonly ledgerRoot: Uint8Array;
  /** The network's first coin: named at genesis and copied unchanged to every state. */
  readonly genesisOutput: GenesisOutput | null;
}

/** One key generation in progress, as the section agreed to start it (N25). */
export interface DkgSession {
  /** 32 bytes: hash of the whole session with network, key and epoch. */
  readonly id: Uint8Array;
  /** The generation whose seal opened it. */
  readonly opened: bigint;
  /** One child continues the section, two split it. */
  readonly children: readonly SessionChild[];
}

export interface SessionChild {
  readonly prefix: Prefix;
  /** Seven, sorted by name. */
  readonly candidates: readonly XorName[];
}

/** A decided relocation: the body of its relocation certificate (N38). */
export interface RelocationDetails {
  readonly name: XorName;
  /** The age its new name must carry. */
  readonly age: number;
  /** 32 bytes: the section that covers this name admits the node. */
  readonly destination: Uint8Array;
  /** The generation that decided it. */
  readonly generation: bigint;
  readonly reason: 'reward' | 'demotion';
}

/** A used relocation certificate, with the epoch of its source, which decides eviction. */
export interface UsedCertificate {
  /** 32 bytes. */
  readonly certificateId: Uint8Array;
  readonly sourceEpoch: bigint;
}

/** The elder set of one section key. */
export interface Charter {
  readonly networkId: Uint8Array;
  readonly prefix: Prefix;
  /** 96 bytes. */
  readonly key: Uint8Array;
  readonly epoch: bigint;
  /** Seven, sorted by name. */
  readonly elders: readonly SectionElder[];
}

/** An elder's snapshot of the money it held when it stopped signing. */
export interface SnapshotRoot {
  /** 1…7: the elder's index. */
  readonly elder: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** Per dealer 1…7 the hash of its dealing, or null: the sum of these dealings is a key (N13). */
export type DealingHashes = readonly (Uint8Array | null)[];

/**
 * How the current key was made. An elder that missed the key generation reconstructs its share from
 * this and the dealings that others hold.
 */
export interface KeyOrigin {
  /** 32 bytes: the session, and which of its children. */
  readonly session: Uint8Array;
  readonly child: number;
  readonly list: DealingHashes;
  /**
   * 32 bytes each: the agreed keys of its elders, to which dealings may be encrypted (N12). They
   * are stored here because an elder may be voted out while another one still needs its share.
   */
  readonly sharingKeys: readonly Uint8Array[];
}

export type KeyPhase =
  /** Normal operation. */
  | { readonly kind: 'open' }
  /** The handover is decided: this generation is the key's final one (N21, N22). */
  | {
      readonly kind: 'closing';
      readonly sessionId: Uint8Array;
      readonly charters: readonly Charter[];
      /** For each charter the list of dealings that made its key. */
      readonly lists: readonly DealingHashes[];
    }
  /** The sealed set is decided: the successor record follows from this state alone. */
  | {
      readonly kind: 'sealed';
      readonly sessionId: Uint8Array;
      readonly charters: readonly Charter[];
      readonly lists: readonly DealingHashes[];
      readonly snapshots: readonly SnapshotRoot[];
      /** 32 bytes: root of the merged money state. */
      readonly sealedRoot: Uint8Array;
    };

/** The agreed state that only nodes need. */
export interface SectionLedger {
  /** The generation in which the current key was activated. */
  readonly activated: bigint;
  /** How many more joiners may be admitted (N39). */
  readonly vacancies: number;
  /** At most two (N25). */
  readonly sessions: readonly DkgSession[];
  readonly relocating: readonly RelocationDetails[];
  readonly usedCertificates: readonly UsedCertificate[];
  /** Names of former members, which cannot join again. Oldest first. */
  readonly formerNames: readonly XorName[];
  /** Null under the first key of a network. */
  readonly origin: KeyOrigin | null;
  readonly phase: KeyPhase;
  /** 32 bytes: the randomness of the last decision (N36). */
  readonly churnId: Uint8Array;
}

export interface SectionState {
  readonly authority: SectionAuthority;
  readonly ledger: SectionLedger;
}

/** A section key's only statement about its successor (N20). */
export interface SuccessorRecord {
  readonly networkId: Uint8Array;
  readonly parentKey: Uint8Array;
  /** The parent's epoch. */
  readonly epoch: bigint;
  readonly finalGeneration: bigint;
  /** 32 bytes: hash of the members of the final generation. */
  readonly membersRoot: Uint8Array;
  readonly sealedRoot: Uint8Array;
  /** One, or both halves of a split, `0` first. */
  readonly children: readonly SuccessorChild[];
}

export interface SuccessorChild {
  readonly prefix: Prefix;
  readonly key: Uint8Array;
  /** 32 bytes: hash of the child's {@link Charter}. */
  readonly charterHash: Uint8Array;
}

export interface SignedSuccessor {
  readonly record: SuccessorRecord;
  /** 48 bytes by the parent key, purpose SUCCESSOR. */
  readonly signature: Uint8Array;
}
