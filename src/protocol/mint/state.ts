/** One registered output at one elder. */
import type { NodeId } from '#core/machine.ts';
import type { MoneySection, RegistryEntry, SectionKeys } from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { SlotDecision } from '#protocol/spentbook/index.ts';
import type { MintMessage, MintRequest } from './messages.ts';

export interface MintConfig {
  readonly section: MoneySection;
  /** All section keys this elder knows, its own included. */
  readonly known: SectionKeys;
  /** Registrations of earlier epochs, by hex of the one-time key. */
  readonly inherited: { readonly get: (key: string) => Registration | undefined };
  /** SPENTBOOK-R6: true once money of this key has stopped. */
  readonly sealed: boolean;
  /** Signs acknowledgements with this elder's own key. */
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
  /** Requests whose job is running, by client and request id. */
  readonly pending: ReadonlySet<string>;
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
   * For the list that clients page through (`entry` is one entry of it), and for this elder's own
   * spentbook: `decisions` go to their slots as `settle`. Output again after every start.
   */
  readonly output: {
    readonly kind: 'registered';
    readonly key: Uint8Array;
    readonly entry: Uint8Array;
    readonly decisions: readonly SlotDecision[];
  };
  readonly fault: MintFault;
  readonly timer: never;
  readonly job: MintJob;
  /** The request to answer. */
  readonly jobId: { readonly from: NodeId; readonly request: MintRequest };
  readonly result: MintResult;
}
