export { decodeProof, encodeProof, maxProofBytes } from './proof.ts';
export { endOfPage, pageFor, pagesFor } from './pages.ts';
export { maxPages, openReading, turnPage, type Reading, type Turned } from './reading.ts';
export { lookAt, type Cover, type Known, type Looked } from './look.ts';
export {
  maxHops,
  openFollowing,
  stepFollowing,
  type Following,
  type FollowEvent,
  type FollowStep,
  type FollowView,
} from './follow.ts';
export { maxTold, pushedBy, pushersOf, pushersWanted } from './push.ts';
