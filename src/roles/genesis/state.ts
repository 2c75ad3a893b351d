import type { XorName } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
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
  Dkg,
} from '#protocol/dkg/index.ts';
import type { GenesisOutput } from '#money/spend-certificate.ts';
import type {
  BadShare,
  SectionAuthority,
  SignedAuthority,
  CombineJob,
  CombineResult,
  ThresholdCollector,
} from '#protocol/section/index.ts';
import type { GenesisMessage } from './messages.ts';

/** All but `self` and the two secrets must be identical for all seven; otherwise shares do not combine. */
export interface GenesisConfig {
  /** Hex of this candidate's name. */
  readonly self: NodeId;
  readonly identitySeed: Uint8Array;
  /** 32 bytes, secret: decrypts shares dealt while this founder was unresponsive (N12). */
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

/** What a founder stores at the end: all that an elder needs to start. */
export interface GenesisOutcome {
  readonly signed: SignedAuthority;
  /** 32 bytes, secret. */
  readonly secretShare: Uint8Array;
  /** 1…7: this elder's index in the authority. */
  readonly index: number;
}

/** The two machines inside. */
export interface InnerMachines {
  readonly dkg: DkgState;
  /** Among the founders, on the list of dealings (N13). */
  readonly agreement: AgreementState;
}

export type GenesisState =
  /** Generating keys and agreeing on one. `shares`: early signature shares by founder index. */
  | (InnerMachines & {
      readonly kind: 'generating';
      readonly chosen: DealingList | null;
      readonly shares: ReadonlyMap<number, Uint8Array>;
    })
  /** Authority computed; collecting signature shares by founder index, including our own once signed. */
  | (InnerMachines & {
      readonly kind: 'signing';
      readonly keys: KeyShareSet;
      readonly authority: SectionAuthority;
      readonly collector: ThresholdCollector;
    })
  | (InnerMachines & { readonly kind: 'complete'; readonly outcome: GenesisOutcome });

export type GenesisFact =
  | { readonly kind: 'dkg'; readonly fact: DkgFact }
  | { readonly kind: 'agreement'; readonly fact: AgreementFact }
  | ({ readonly kind: 'complete' } & GenesisOutcome);

export type GenesisFault =
  | { readonly kind: 'dkg'; readonly culprit: NodeId; readonly fault: DkgFault }
  | { readonly kind: 'agreement'; readonly culprit: NodeId; readonly fault: AgreementFault }
  | BadShare
  /** A combined signature that the section key does not verify. */
  | { readonly kind: 'invalidSignature'; readonly culprit: NodeId };

export type GenesisJob =
  | { readonly kind: 'dkg'; readonly job: DkgJob }
  /** Validates a proposal: a readiness proof with five vouchers. */
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
  | CombineJob
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
  | CombineResult
  | {
      readonly kind: 'checked';
      readonly from: NodeId;
      readonly signature: Uint8Array;
      readonly valid: boolean;
    };

export type GenesisJobId =
  | { readonly kind: 'dkg'; readonly id: Dkg['jobId'] }
  | { readonly kind: 'agreement'; readonly id: Agreement['jobId'] }
  | { readonly kind: 'sign' | 'combine' }
  | { readonly kind: 'check'; readonly from: NodeId };

export type GenesisTimer =
  | { readonly kind: 'gossip' | 'dkg' }
  | { readonly kind: 'agreement'; readonly timer: Agreement['timer'] };

export interface Genesis {
  readonly input: never;
  readonly message: GenesisMessage;
  readonly fact: GenesisFact;
  readonly output: { readonly kind: 'complete' } & GenesisOutcome;
  readonly fault: GenesisFault;
  readonly timer: GenesisTimer;
  readonly job: GenesisJob;
  readonly jobId: GenesisJobId;
  readonly result: GenesisResult;
}
