/** What a payment says to elders, and hears: the words of the spentbook and the mint, addressed. */
import type { MintAnswer, MintRequest } from '#protocol/mint/index.ts';
import type { SpentbookAnswer, SpentbookRequest } from '#protocol/spentbook/index.ts';

export type PaymentMessage =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: SpentbookRequest }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: MintRequest }
  | { readonly kind: 'slotAnswer'; readonly answer: SpentbookAnswer }
  | { readonly kind: 'outputAnswer'; readonly answer: MintAnswer };
