export { handover } from './machine.ts';
export { performHandoverJob } from './jobs.ts';
export { receiptBytes } from './receipt.ts';
export { addPage, inheritPage, type Inheritance, type InheritedPage } from './inherit.ts';
export {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  maxHandoverMessageBytes,
} from './codec.ts';
export type {
  HandoverMessage,
  HandoverNews,
  Receipt,
  SnapshotPage,
  SuccessorShare,
} from './messages.ts';
export type {
  Handover,
  HandoverConfig,
  HandoverFact,
  HandoverFault,
  HandoverInput,
  HandoverJob,
  HandoverOutput,
  HandoverResult,
  HandoverState,
} from './state.ts';
export { supersededBy } from './superseded.ts';
