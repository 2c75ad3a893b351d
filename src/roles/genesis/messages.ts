import type { AgreementMessage } from '#protocol/agreement/index.ts';
import type { DkgMessage } from '#protocol/dkg/index.ts';

export type GenesisMessage =
  | { readonly kind: 'dkg'; readonly message: DkgMessage }
  | { readonly kind: 'agreement'; readonly message: AgreementMessage }
  /** The sender's signature share over the genesis authority (48 bytes). */
  | { readonly kind: 'share'; readonly sessionId: Uint8Array; readonly signature: Uint8Array }
  /** Requests the receiver's share, or the combined signature if it has one. */
  | { readonly kind: 'request'; readonly sessionId: Uint8Array }
  /** The combined signature (48 bytes); a receiver with its key share computes the authority and verifies it. */
  | { readonly kind: 'complete'; readonly sessionId: Uint8Array; readonly signature: Uint8Array };
