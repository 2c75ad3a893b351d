export {
  dealingListShape,
  decodeDkgFact,
  decodeDkgMessage,
  decodeReadinessProof,
  dkgFactShape,
  dkgMessageShape,
  encodeDkgFact,
  encodeDkgMessage,
  encodeReadinessProof,
  maxDkgMessageBytes,
  maxHeldLists,
  maxWants,
  readinessProofShape,
} from './codec.ts';
export {
  performDkgJob,
  productionSuites,
  type DealingVerdict,
  type DkgJob,
  type DkgResult,
  type DkgSuites,
} from './jobs.ts';
export { dkg } from './machine.ts';
export type {
  DealingList,
  DkgMessage,
  SignedReadiness,
  SignedDealing,
  SignedKey,
  ProposedList,
} from './messages.ts';
export {
  defaultReadyBytes,
  verifyReadinessProof,
  verifyVouchers,
  type ReadinessProof,
  type Voucher,
} from './readiness-proof.ts';
export type {
  Dkg,
  DkgConfig,
  DkgFact,
  DkgFault,
  DkgInput,
  DkgOutput,
  DkgState,
  KeyShareSet,
} from './state.ts';
export { childSessionId, listHash, sortedNames, type Binding } from './transcript.ts';
