/** One registered output at one elder. */
import type { NodeId } from '#core/machine.ts';
import type { MoneySection, RegistryEntry, SectionKeys } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import type { Decision } from '#protocol/spentbook/index.ts';
import type { MintMessage, MintRequest } from './messages.ts';

export interface MintConfig {
  readonly section: MoneySection;
  /** All keys this elder knows, its own section's among them. */
  readonly known: SectionKeys;
  /** The list as earlier epochs left it, by hex of the one-time key. */
  readonly inherited: { readonly get: (key: string) => Registration | undefined };
  /** R6: true from the moment the section stopped. */
  readonly sealed: boolean;
  /** Signs acknowledgements in this elder's own name. */
  readonly identitySeed: Uint8Array;
  readonly identity: IdentitySuite;
}

export interface Registration extends RegistryEntry {
  readonly key: Uint8Array;
  readonly txid: Uint8Array;
}

export type OutputRecord =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'registered'; readonly registration: Registration };

export interface MintState {
  readonly record: OutputRecord;
  readonly pending: ReadonlyMap<string, { readonly from: NodeId; readonly request: MintRequest }>;
  readonly jobsStarted: number;
}

export interface MintFact {
  readonly kind: 'registered';
  readonly registration: Registration;
}

export interface MintFault {
  readonly kind: 'invalidRegistration';
  readonly culprit: NodeId;
  readonly what: string;
  readonly request: MintRequest;
}

export interface MintJob {
  readonly kind: 'verify';
  readonly known: SectionKeys;
  readonly key: Uint8Array;
  readonly entry: RegistryEntry;
}

export type MintResult =
  | { readonly kind: 'verified'; readonly txid: Uint8Array }
  | { readonly kind: 'unproven'; readonly slot: Uint8Array; readonly epoch: bigint }
  | { readonly kind: 'refused'; readonly what: string };

export interface Mint {
  readonly input: never;
  readonly message: MintMessage;
  readonly fact: MintFact;
  /**
   * For the list that clients page through (`entry` is one line of it), and for this elder's own
   * spentbook: `decisions` go to their slots as `settle`. Said again after every start.
   */
  readonly output: {
    readonly kind: 'registered';
    readonly key: Uint8Array;
    readonly entry: Uint8Array;
    readonly decisions: readonly Decision[];
  };
  readonly fault: MintFault;
  readonly timer: never;
  readonly job: MintJob;
  readonly result: MintResult;
}
