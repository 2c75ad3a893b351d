export {
  dealingListShape,
  decodeDkgFact,
  decodeDkgMessage,
  decodeReady,
  dkgFactShape,
  dkgMessageShape,
  encodeDkgFact,
  encodeDkgMessage,
  encodeReady,
  maxDkgMessageBytes,
  maxHeldLists,
  maxWants,
  readyShape,
} from './codec.ts';
export {
  performDkgJob,
  realSuites,
  type DealingVerdict,
  type DkgJob,
  type DkgResult,
  type DkgSuites,
} from './jobs.ts';
export { dkg } from './machine.ts';
export type {
  DealingList,
  DkgMessage,
  Readiness,
  SignedDealing,
  SignedKey,
  SignedList,
} from './messages.ts';
export { plainReadyBytes, verifyReady, verifyVouchers, type Ready, type Voucher } from './proof.ts';
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
