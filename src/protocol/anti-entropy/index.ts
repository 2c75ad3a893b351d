export { MESSAGE_ID_BYTES, noKey, noToken, TOKEN_BYTES, type Cover } from './cover.ts';
export {
  decodeProof,
  decodeReply,
  encodeProof,
  encodeReply,
  maxProofBytes,
  maxReplyBytes,
  type Reply,
} from './messages.ts';
export { endOfPage, pageFor, pagesFor } from './pages.ts';
export {
  answeredAgainAfter,
  decide,
  lookAt,
  maxAmplification,
  maxTold,
  tokenFor,
  type Decided,
  type Decision,
  type Known,
  type Looked,
  type Told,
  type View,
} from './decide.ts';
export {
  askOthers,
  judge,
  maxHops,
  maxPages,
  openPending,
  othersAsked,
  proceed,
  type AntiEntropyFault,
  type Judged,
  type Pending,
  type Proceed,
} from './follow.ts';
export { pushedBy, pushersOf, pushersWanted } from './push.ts';
