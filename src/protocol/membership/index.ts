export type {
  Act,
  ActBody,
  ActKind,
  DemoteAct,
  Endorsement,
  HandoverAct,
  JoinAct,
  LeaveAct,
  VacanciesAct,
  SealedSetAct,
  SignedSnapshot,
  RelocationCertificate,
} from './acts.ts';
export type { ReadinessProof as ReadyProof } from '#protocol/dkg/index.ts';
export { applyActs, type Applied, type DroppedAct } from './apply.ts';
export {
  actBodyBytes,
  actId,
  decodeAct,
  decodeActBody,
  decodeRelocationCertificate,
  encodeAct,
  encodeRelocationCertificate,
  maxActBytes,
  maxVacancies,
} from './codec.ts';
export { endorse, endorsementBytes, verifyEndorsement, withEndorsements } from './endorsement.ts';
export type { SectionEvent } from './progress.ts';
export { isReadyProof, type ActSuites, type ActContext } from './signature-checks.ts';
export { minMembersPerHalf } from './split-or-replace.ts';
export {
  maxUsedCertificates,
  maxFormerNames,
  maxRelocating,
  maxSessions,
  maxSourceHandovers,
  sectionRules,
  type SectionRules,
} from './rules.ts';
export {
  isSelectedToRelocate,
  lostElders,
  presentElders,
  relocationsToCertify,
} from './state-queries.ts';
export { charterFor, renameBytes, readyBytes, snapshotBytes } from './signed-layouts.ts';
export { actNeeds, subjectOf, validateAct, type ActNeeds } from './validate.ts';
export type { ActFault } from './act-verdict.ts';
export {
  isProposable,
  refusalReason,
  actsToEndorse,
  type Joiner,
  type LocalObservations,
} from './endorsable-acts.ts';
