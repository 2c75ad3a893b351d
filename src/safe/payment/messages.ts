/** The messages between a payment and the elders: those of spentbook and mint, with addresses. */
import type { MintAnswer, MintRequest } from '#protocol/mint/index.ts';
import type { SpentbookAnswer, SpentbookRequest } from '#protocol/spentbook/index.ts';

export type PaymentMessage =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: SpentbookRequest }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: MintRequest }
  | { readonly kind: 'slotAnswer'; readonly answer: SpentbookAnswer }
  | { readonly kind: 'outputAnswer'; readonly answer: MintAnswer };
