export { payment } from './machine.ts';
export { performPaymentJob, sharesRequired } from './jobs.ts';
export {
  decodeBundle,
  decodePaymentAnswer,
  decodePaymentFact,
  encodeBundle,
  encodePaymentFact,
  encodePaymentRequest,
  type PaymentRequest,
} from './codec.ts';
export type { PaymentMessage } from './messages.ts';
export type {
  Payment,
  PaymentBundle,
  PaymentConfig,
  PaymentElder,
  PaymentFact,
  PaymentFault,
  PaymentJob,
  PaymentOutput,
  PaymentResult,
  PaymentState,
  Replacement,
  WaitingReason,
} from './state.ts';
