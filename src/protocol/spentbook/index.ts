export { spentbook, maxPendingPerSlot } from './machine.ts';
export { performSpentbookJob, unknownEpochOf } from './jobs.ts';
export { slotEntry } from './snapshot.ts';
export { isSpentbookAnswer } from './messages.ts';
export { verifyPrepareVote, prepareVoteBytes } from './signed-vote.ts';
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
  SignedPrepareVote,
  SpentbookAnswer,
  SpentbookMessage,
  SpentbookRequest,
  UnknownEpoch,
} from './messages.ts';
export type {
  PreparedTransaction,
  SlotDecision,
  InheritedSlot,
  EpochInclusion,
  Spentbook,
  SpentbookConfig,
  SpentbookFact,
  SpentbookFault,
  SpentbookJob,
  SpentbookResult,
  SpentbookState,
} from './state.ts';
