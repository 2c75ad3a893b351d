import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import type { SignatureShare } from '#crypto/bls.ts';
import type {
  Agreement,
  AgreementFact,
  AgreementFault,
  AgreementState,
} from '#protocol/agreement/index.ts';
import type {
  Binding,
  DealingList,
  DkgFact,
  DkgFault,
  DkgJob,
  DkgResult,
  DkgState,
  DkgSuites,
  KeyShareSet,
} from '#protocol/dkg/index.ts';
import type { GenesisOutput, SectionAuthority, SignedAuthority } from '#protocol/section/index.ts';
import type { GenesisMessage } from './messages.ts';

/** All but what is one's own must be the same for all seven, or their shares do not fit. */
export interface GenesisConfig {
  /** Hex of this candidate's name. */
  readonly self: NodeId;
  readonly identitySeed: Uint8Array;
  /** 32 bytes, secret: opens what was dealt while this founder was silent (N12). */
  readonly sharingSecret: Uint8Array;
  /** The seven first elders, in any order. */
  readonly candidates: readonly XorName[];
  /** The first adults, in any order, none of them a candidate. */
  readonly adults: readonly XorName[];
  /** Of every candidate and adult, by hex of its name: 32 bytes (N12). */
  readonly sharingKeys: ReadonlyMap<NodeId, Uint8Array>;
  readonly networkName: string;
  /** 32 bytes for this attempt. */
  readonly nonce: Uint8Array;
  readonly genesisOutput: GenesisOutput | null;
  readonly gossipEveryMs: number;
  readonly suites: DkgSuites;
}

/** What a candidate keeps of the birth: everything an elder needs to begin. */
export interface Born {
  readonly signed: SignedAuthority;
  /** 32 bytes, secret. */
  readonly secretShare: Uint8Array;
  /** 1…7: this elder's index in the authority. */
  readonly index: number;
}

/** The two machines inside. */
export interface Inner {
  readonly dkg: DkgState;
  /** On the list of dealings, among the founders themselves (N13). */
  readonly agreement: AgreementState;
}

export type GenesisState =
  /** Making keys and agreeing on one; shares of quicker founders wait, by index. */
  | (Inner & {
      readonly kind: 'generating';
      readonly chosen: DealingList | null;
      readonly shares: ReadonlyMap<number, Uint8Array>;
    })
  /** Key made, authority built; collecting signature shares, own among them once signed. */
  | (Inner & {
      readonly kind: 'signing';
      readonly keys: KeyShareSet;
      readonly authority: SectionAuthority;
      readonly shares: ReadonlyMap<number, Uint8Array>;
      /** A job is combining or checking. */
      readonly busy: boolean;
    })
  | (Inner & { readonly kind: 'born'; readonly born: Born });

export type GenesisFact =
  | { readonly kind: 'dkg'; readonly fact: DkgFact }
  | { readonly kind: 'agreement'; readonly fact: AgreementFact }
  | ({ readonly kind: 'born' } & Born);

export type GenesisFault =
  | { readonly kind: 'dkg'; readonly culprit: NodeId; readonly fault: DkgFault }
  | { readonly kind: 'agreement'; readonly culprit: NodeId; readonly fault: AgreementFault }
  /** A signature share that its public share does not verify. */
  | { readonly kind: 'invalidShare'; readonly culprit: NodeId }
  /** A combined signature that the section key does not verify. */
  | { readonly kind: 'invalidSignature'; readonly culprit: NodeId };

export type GenesisJob =
  | { readonly kind: 'dkg'; readonly job: DkgJob }
  /** Is this proposal a key that is ready? */
  | {
      readonly kind: 'validate';
      readonly binding: Binding;
      readonly candidates: readonly XorName[];
      readonly proposal: Uint8Array;
    }
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
  | { readonly kind: 'validated'; readonly result: Agreement['result'] }
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
  readonly output: { readonly kind: 'born' } & Born;
  readonly fault: GenesisFault;
  readonly timer: 'dkg/gossip' | `agreement/${Agreement['timer']}` | 'gossip';
  readonly job: GenesisJob;
  readonly result: GenesisResult;
}
