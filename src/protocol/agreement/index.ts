export { agreement, createAgreement } from './machine.ts';
export { deferredIn, isProposed, type Deferred } from './proposals.ts';
export { agreementRules, preferredVoterOf, type AgreementRules } from './rules.ts';
export {
  maxProposalBytes,
  maxProposals,
  proposalHash,
  roundChangeBody,
  roundChangesDigest,
  statementBytes,
  precommitBody,
  verifyDecision,
  prevoteBody,
} from './statements.ts';
export {
  statementsHeldFrom,
  maxRecoveredStatements,
  provesLostState,
  ownStatementsIn,
  statementKeysIn,
  type SignedStatement,
} from './recovered-statements.ts';
export {
  agreementFactShape,
  agreementMessageShape,
  decodeAgreementFact,
  decodeAgreementMessage,
  encodeAgreementFact,
  encodeAgreementMessage,
  maxAgreementMessageBytes,
} from './codec.ts';
export type {
  AgreementMessage,
  QuorumCertificate,
  Decision,
  DecisionCertificate,
  Equivocation,
  RoundChange,
  Precommit,
  Prevote,
  Statement,
  StatementPhase,
  Value,
} from './messages.ts';
export type {
  Agreement,
  AgreementConfig,
  AgreementFact,
  AgreementFault,
  AgreementScope,
  AgreementState,
} from './state.ts';
