export { spentbook, maxPendingPerSlot } from './machine.ts';
export { performSpentbookJob } from './jobs.ts';
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
  SignedVote,
  SpentbookAnswer,
  SpentbookMessage,
  SpentbookRequest,
} from './messages.ts';
export type {
  Decision,
  Spentbook,
  SpentbookConfig,
  SpentbookFact,
  SpentbookFault,
  SpentbookJob,
  SpentbookResult,
  SpentbookState,
} from './state.ts';
