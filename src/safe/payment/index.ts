export { payment } from './machine.ts';
export {
  addressesOf,
  missingPaths,
  onlyPaymentSection,
  paymentSectionsOf,
  sectionAt,
  withPath,
} from './sections.ts';
export { performPaymentJob, sharesRequired } from './jobs.ts';
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
  withFact,
  type PaymentRequest,
} from './codec.ts';
export type { PaymentMessage } from './messages.ts';
export type {
  Payment,
  MissingPath,
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
} from './state.ts';
