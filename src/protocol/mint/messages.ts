/** Messages about one output of a final transaction. */
import type { RegistryEntry } from '#money/spend-certificate.ts';
import type { KeyHint, UnknownEpoch } from '#protocol/spentbook/index.ts';

export type MintRequest = {
  readonly kind: 'register';
  /** 16 bytes, repeated in the answer. */
  readonly request: Uint8Array;
  /** 32 bytes: hash of the section key that the request addresses. */
  readonly section: Uint8Array;
  /** P, the output's one-time key. */
  readonly key: Uint8Array;
} & RegistryEntry;

export type MintAnswer =
  /** This elder has registered the output; it signs key, epoch, P and txid. */
  | { readonly kind: 'registered'; readonly request: Uint8Array; readonly signature: Uint8Array }
  /** MINT-M2: another transaction registered this one-time key first; `entry` proves it. */
  | { readonly kind: 'duplicate'; readonly request: Uint8Array; readonly entry: Uint8Array }
  | { readonly kind: 'invalid'; readonly request: Uint8Array; readonly what: string }
  | ({ readonly kind: 'sealed' } & KeyHint)
  | ({ readonly kind: 'wrongKey' } & KeyHint)
  | ({ readonly kind: 'unproven' } & UnknownEpoch)
  | { readonly kind: 'busy'; readonly request: Uint8Array; readonly afterMs: number };

export type MintMessage = MintRequest | MintAnswer;
