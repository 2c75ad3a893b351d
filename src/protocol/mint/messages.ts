/** What travels about one output of a final transaction. */
import type { RegistryEntry } from '#money/certificate.ts';
import type { KeyHint, Unproven } from '#protocol/spentbook/index.ts';

export type MintRequest = {
  readonly kind: 'register';
  /** 16 bytes, comes back in the answer. */
  readonly request: Uint8Array;
  /** 32 bytes: hash of the section key that is asked. */
  readonly section: Uint8Array;
  /** P, the output's one-time key. */
  readonly key: Uint8Array;
} & RegistryEntry;

export type MintAnswer =
  /** This elder keeps the output; the signature is over key, epoch, P and txid. */
  | { readonly kind: 'registered'; readonly request: Uint8Array; readonly signature: Uint8Array }
  /** M2: another transaction made this one-time key first; `entry` proves it. */
  | { readonly kind: 'duplicate'; readonly request: Uint8Array; readonly entry: Uint8Array }
  | { readonly kind: 'unregistrable'; readonly request: Uint8Array; readonly what: string }
  | ({ readonly kind: 'sealed' } & KeyHint)
  | ({ readonly kind: 'otherKey' } & KeyHint)
  | ({ readonly kind: 'unproven' } & Unproven)
  | { readonly kind: 'mintBusy'; readonly request: Uint8Array; readonly afterMs: number };

export type MintMessage = MintRequest | MintAnswer;
