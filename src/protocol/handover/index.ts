export { handover } from './machine.ts';
export { performHandoverJob } from './jobs.ts';
export { inheritanceReceiptBytes } from './inheritance-receipt.ts';
export { addPage, inheritPage, type Inheritance, type InheritedPage } from './inheritance.ts';
export {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  maxHandoverMessageBytes,
} from './codec.ts';
export type {
  HandoverMessage,
  HandoverProgress,
  InheritanceReceipt,
  SnapshotPage,
  SuccessorShare,
} from './messages.ts';
export type {
  HandoverProtocol,
  HandoverConfig,
  HandoverFact,
  HandoverFault,
  HandoverInput,
  HandoverJob,
  HandoverOutput,
  HandoverResult,
  HandoverState,
} from './state.ts';
