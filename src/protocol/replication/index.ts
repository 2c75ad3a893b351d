export {
  auditVerdict,
  settleAudit,
  startAudit,
  withProof,
  type Audit,
  type AuditVerdict,
} from './audit.ts';
export {
  decodeReplicationFact,
  decodeReplicationMessage,
  encodeReplicationFact,
  encodeReplicationMessage,
  maxReplicationMessageBytes,
} from './codec.ts';
export {
  challengeOf,
  confirmationBytes,
  heldItem,
  isAtLeast,
  itemId,
  noDigest,
  openItem,
  possessionProof,
  provenBytes,
  stateRefOf,
  type Item,
  type ItemId,
} from './items.ts';
export { backlogOf, fullMembers, maySendCopy, replication } from './machine.ts';
export type { PossessionChallenge, ReplicationMessage } from './messages.ts';
export {
  adultsOf,
  copiesWanted,
  holdersAmong,
  holdersOf,
  isHolder,
  adultsByDistance,
  noMemberFull,
  type Adult,
  type PlacedMember,
  type PlacedSection,
} from './placement.ts';
export type {
  FetchOutcome,
  Replication,
  ReplicationConfig,
  ReplicationFact,
  ReplicationFault,
  ReplicationInput,
  ReplicationOutput,
  ReplicationState,
} from './state.ts';
