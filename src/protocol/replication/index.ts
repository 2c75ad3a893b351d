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
  held,
  isAtLeast,
  itemId,
  noDigest,
  openItem,
  proofOf,
  provenBytes,
  stampOf,
  type Item,
  type ItemId,
  type Stamp,
} from './items.ts';
export { backlogOf, fullMembers, mayHandOver, replication } from './machine.ts';
export type { Question, ReplicationMessage } from './messages.ts';
export {
  adultsOf,
  copiesWanted,
  holdersAmong,
  holdersOf,
  isHolder,
  lineOf,
  neededBy,
  nobodyFull,
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
