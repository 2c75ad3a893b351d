export { spentbook, maxPendingPerSlot } from './machine.ts';
export { performSpentbookJob, whyUnproven } from './jobs.ts';
export { slotEntry } from './snapshot.ts';
export { isSpentbookAnswer } from './messages.ts';
export { verifyVote, voteBytes } from './vote.ts';
export {
  REQUEST_BYTES,
  decodeSpentbookAnswer,
  decodeSpentbookFact,
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  encodeSpentbookFact,
  encodeSpentbookRequest,
  maxSpentbookMessageBytes,
  spentbookKey,
} from './codec.ts';
export type {
  KeyHint,
  SignedVote,
  SpentbookAnswer,
  SpentbookMessage,
  SpentbookRequest,
  Unproven,
} from './messages.ts';
export type {
  Bundle,
  Decision,
  InheritedSlot,
  SealedWord,
  Spentbook,
  SpentbookConfig,
  SpentbookFact,
  SpentbookFault,
  SpentbookJob,
  SpentbookResult,
  SpentbookState,
} from './state.ts';
