export { spentbook, maxPendingPerSlot, placesForOwner } from './machine.ts';
export { performSpentbookJob, unknownEpochOf } from './jobs.ts';
export { problemOfRecovery } from './allow-recovery.ts';
export { recoverBytes, reportBytes, verifyReport } from './signed-report.ts';
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
  Recovery,
  SignedPrepareVote,
  SignedReport,
  SpentbookAnswer,
  SpentbookMessage,
  SpentbookRequest,
  UnknownEpoch,
} from './messages.ts';
export type {
  PreparedTransaction,
  SlotDecision,
  SlotRow,
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
