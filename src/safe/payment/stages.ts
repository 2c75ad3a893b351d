/** The one vocabulary of a payment's progress, from the machine to the screen. */

/** In this order, except that `replaced` may follow any stage before `final`. */
export const paymentStages = [
  /** Stored on this device; no elder is known to have received it. */
  'draft',
  /** Elders are asked for prepare signatures. */
  'preparing',
  /** Prepared by every slot: elders are asked for commit signatures. */
  'committing',
  /** Every commit certificate is complete; not yet in the recipient's list. */
  'final',
  'registered',
  /** Another payment of this Safe spent the coin; nothing was lost. */
  'replaced',
] as const;
export type PaymentStage = (typeof paymentStages)[number];

/** Why a payment makes no progress in its stage. */
export const waitingReasons = [
  'conflict',
  /** Another payment with the same money goes first (PAYMENT-P8); the facts contain it. */
  'adopted',
  'tooFewElders',
  'refused',
  'duplicateKey',
] as const;
export type WaitingReasonKind = (typeof waitingReasons)[number];
