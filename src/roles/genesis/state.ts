import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type { SignatureShare } from '#crypto/bls.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type {
  DkgFact,
  DkgFault,
  DkgGroup,
  DkgJob,
  DkgResult,
  DkgState,
  KeyShareSet,
  SignedComplaint,
} from '#protocol/dkg/index.ts';
import type { GenesisOutput, SectionAuthority, SignedAuthority } from '#protocol/section/index.ts';
import type { GenesisMessage } from './messages.ts';

/** All but `self` and `identitySeed` must be the same for all seven, or their shares do not fit. */
export interface GenesisConfig {
  /** Hex of this candidate's name. */
  readonly self: NodeId;
  readonly identitySeed: Uint8Array;
  /** The seven first elders, in any order. */
  readonly candidates: readonly XorName[];
  /** The first adults, in any order, none of them a candidate. */
  readonly adults: readonly XorName[];
  readonly networkName: string;
  /** 32 bytes for this attempt. */
  readonly nonce: Uint8Array;
  readonly genesisOutput: GenesisOutput | null;
  readonly gossipEveryMs: number;
  readonly suite: ThresholdSuite;
  readonly group: DkgGroup;
}

/** What a candidate keeps of the birth: everything an elder needs to begin. */
export interface Born {
  readonly signed: SignedAuthority;
  /** 32 bytes, secret. */
  readonly secretShare: Uint8Array;
  /** 1…7: this elder's index in the authority. */
  readonly index: number;
}

export type GenesisState =
  /** Making the key; shares of quicker candidates wait, by index. */
  | {
      readonly kind: 'generating';
      readonly dkg: DkgState;
      readonly shares: ReadonlyMap<number, Uint8Array>;
    }
  /** Key made, authority built; collecting signature shares, own among them once signed. */
  | {
      readonly kind: 'signing';
      readonly dkg: DkgState;
      readonly keys: KeyShareSet;
      readonly authority: SectionAuthority;
      readonly shares: ReadonlyMap<number, Uint8Array>;
      /** A job is combining or checking. */
      readonly busy: boolean;
    }
  | { readonly kind: 'born'; readonly dkg: DkgState; readonly born: Born }
  | { readonly kind: 'failed'; readonly dkg: DkgState };

export type GenesisFact =
  { readonly kind: 'dkg'; readonly fact: DkgFact } | ({ readonly kind: 'born' } & Born);

export type GenesisFault =
  | { readonly kind: 'dkg'; readonly culprit: NodeId; readonly fault: DkgFault }
  /** A signature share that its public share does not verify. */
  | { readonly kind: 'invalidShare'; readonly culprit: NodeId }
  /** A combined signature that the section key does not verify. */
  | { readonly kind: 'invalidSignature'; readonly culprit: NodeId };

export type GenesisJob =
  | { readonly kind: 'dkg'; readonly job: DkgJob }
  | {
      readonly kind: 'sign';
      readonly secretShare: Uint8Array;
      readonly index: number;
      readonly message: Uint8Array;
    }
  | {
      readonly kind: 'combine';
      readonly authority: SectionAuthority;
      readonly shares: readonly SignatureShare[];
    }
  | {
      readonly kind: 'check';
      readonly authority: SectionAuthority;
      readonly signature: Uint8Array;
      readonly from: NodeId;
    };

export type GenesisResult =
  | { readonly kind: 'dkg'; readonly result: DkgResult }
  | { readonly kind: 'signed'; readonly index: number; readonly signature: Uint8Array }
  /** Either a signature, or the indexes whose shares do not verify. */
  | { readonly kind: 'combined'; readonly signature: Uint8Array }
  | { readonly kind: 'uncombined'; readonly wrong: readonly number[] }
  | {
      readonly kind: 'checked';
      readonly from: NodeId;
      readonly signature: Uint8Array;
      readonly valid: boolean;
    };

export interface Genesis {
  readonly input: never;
  readonly message: GenesisMessage;
  readonly fact: GenesisFact;
  readonly output:
    | ({ readonly kind: 'born' } & Born)
    /** A dealer cheated; the operators start again, under another nonce, without it. */
    | { readonly kind: 'failed'; readonly culprit: NodeId; readonly complaint: SignedComplaint };
  readonly fault: GenesisFault;
  readonly timer: 'dkg/gossip' | 'gossip';
  readonly job: GenesisJob;
  readonly result: GenesisResult;
}
