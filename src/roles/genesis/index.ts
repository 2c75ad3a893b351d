export { genesisAttemptId } from './genesis-authority.ts';
export {
  decodeGenesisFact,
  decodeGenesisMessage,
  encodeGenesisFact,
  encodeGenesisMessage,
  maxGenesisMessageBytes,
} from './codec.ts';
export { performGenesisJob } from './jobs.ts';
export { genesis } from './machine.ts';
export type { GenesisMessage } from './messages.ts';
export type {
  GenesisOutcome,
  Genesis,
  GenesisConfig,
  GenesisFact,
  GenesisFault,
  GenesisJob,
  GenesisResult,
  GenesisState,
} from './state.ts';
