export { agreement, createAgreement } from './machine.ts';
export { deferredIn, isOffered, type Deferred } from './held.ts';
export { agreementRules, leadOf, type AgreementRules } from './rules.ts';
export {
  maxProposalBytes,
  maxProposals,
  proposalHash,
  reportBody,
  reportsDigest,
  statementBytes,
  strongBody,
  verifyDecision,
  verifyEquivocation,
  voteBody,
} from './statements.ts';
export { heldOf, maxWordsTold, showsForgotten, wordsFor, wordsIn, type Word } from './own-words.ts';
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
  Certificate,
  Decision,
  DecisionCertificate,
  Equivocation,
  SignedReport,
  SignedStrong,
  SignedVote,
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
