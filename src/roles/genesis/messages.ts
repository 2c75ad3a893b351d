import type { AgreementMessage } from '#protocol/agreement/index.ts';
import type { DkgMessage } from '#protocol/dkg/index.ts';

export type GenesisMessage =
  | { readonly kind: 'dkg'; readonly message: DkgMessage }
  | { readonly kind: 'agreement'; readonly message: AgreementMessage }
  /** The sender's signature share over the genesis authority (48 bytes). */
  | { readonly kind: 'share'; readonly sessionId: Uint8Array; readonly signature: Uint8Array }
  /** "I have no share of yours; send it, or the whole if you have it." */
  | { readonly kind: 'ask'; readonly sessionId: Uint8Array }
  /** The combined signature: who has its own key share can build the rest and check it. */
  | { readonly kind: 'born'; readonly sessionId: Uint8Array; readonly signature: Uint8Array };
