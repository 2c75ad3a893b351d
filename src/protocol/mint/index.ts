export {
  ackBytes,
  decisionsOf,
  maxPendingPerOutput,
  mint,
  outputName,
  verifyAck,
} from './machine.ts';
export { performMintJob } from './jobs.ts';
export { outputEntry } from './snapshot.ts';
export {
  decodeMintAnswer,
  decodeMintFact,
  decodeMintRequest,
  encodeMintAnswer,
  encodeMintFact,
  encodeMintRequest,
  maxMintMessageBytes,
  mintKey,
} from './codec.ts';
export type { MintAnswer, MintMessage, MintRequest } from './messages.ts';
export type {
  Mint,
  MintConfig,
  MintFact,
  MintFault,
  MintJob,
  MintResult,
  MintState,
  Registration,
} from './state.ts';
