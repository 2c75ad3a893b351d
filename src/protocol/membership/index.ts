export type {
  Act,
  ActBody,
  ActKind,
  Demote,
  Endorsement,
  Handover,
  Join,
  Leave,
  Places,
  SealedSet,
  SignedSnapshot,
  TicketProof,
} from './acts.ts';
export type { Ready as ReadyProof } from '#protocol/dkg/index.ts';
export { applyActs, type Applied, type DroppedAct } from './apply.ts';
export {
  actBodyBytes,
  actId,
  decodeAct,
  decodeActBody,
  decodeTicketProof,
  encodeAct,
  encodeTicketProof,
  maxActBytes,
  maxPlaces,
} from './codec.ts';
export {
  endorse,
  endorsementBytes,
  isSameAct,
  verifyEndorsement,
  withEndorsements,
} from './endorsement.ts';
export type { SectionEvent } from './progress.ts';
export { emptyView, isReadyProof, type ActSuites, type ActView } from './proofs.ts';
export {
  leastMembersOfHalf,
  maxConsumed,
  maxDeparted,
  maxMoving,
  maxSessions,
  maxTicketSuccessors,
  sectionRules,
  type SectionRules,
} from './rules.ts';
export { isDrawn, lostElders, presentElders, ticketsDue } from './sections.ts';
export { charterFor, newNameBytes, readyBytes, snapshotBytes } from './statements.ts';
export { actNeeds, subjectOf, validateAct, type ActNeeds } from './validate.ts';
export type { ActFault } from './verdict.ts';
export { endorses, isProposable, whyNot, wishes, type Joiner, type Opinions } from './wishes.ts';
