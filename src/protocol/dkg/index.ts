export {
  decodeDkgFact,
  decodeDkgMessage,
  dkgFactShape,
  dkgMessageShape,
  encodeDkgFact,
  encodeDkgMessage,
  maxDkgMessageBytes,
} from './codec.ts';
export { blsGroup, type DkgGroup } from './group.ts';
export { performDkgJob, type DkgJob, type DkgResult } from './jobs.ts';
export { dkg } from './machine.ts';
export type {
  DkgMessage,
  SignedAck,
  SignedComplaint,
  SignedDealing,
  SignedKey,
} from './messages.ts';
export type { Dkg, DkgConfig, DkgFact, DkgFault, DkgState, KeyShareSet } from './state.ts';
export { sessionIdOf, sortedNames, type DkgSession } from './transcript.ts';
