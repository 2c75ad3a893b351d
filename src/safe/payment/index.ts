export { payment } from './machine.ts';
export {
  addressesOf,
  sourcesMissingInclusion,
  paymentSectionsOf,
  paymentSectionAt,
  addInclusion,
} from './request-plan.ts';
export { performPaymentJob } from './jobs.ts';
export {
  decodeBundle,
  decodePaymentAnswer,
  decodePaymentFact,
  decodePaymentFacts,
  encodeBundle,
  encodePaymentFact,
  encodePaymentFacts,
  encodePaymentRequest,
  maxBundleBytes,
  withPaymentFact,
  type PaymentRequest,
} from './codec.ts';
export type { PaymentMessage } from './messages.ts';
export type {
  Payment,
  MissingInclusion,
  PaymentBundle,
  PaymentConfig,
  PaymentElder,
  PaymentFact,
  PaymentFault,
  PaymentJob,
  PaymentOutput,
  PaymentResult,
  PaymentSection,
  PaymentSections,
  PaymentState,
  Replacement,
  WaitingReason,
  OtherPayment,
} from './state.ts';
