export {
  maxIssuesPerRound,
  observe,
  proposeFault,
  startFaultDetection,
  suspicionOf,
  suspicionsOf,
} from './detect.ts';
export {
  issues,
  usualFaultDetection,
  type Evidence,
  type FaultDetectionConfig,
  type FaultDetectionEvent,
  type FaultDetectionState,
  type Issue,
  type PeerKind,
  type Suspicion,
} from './state.ts';
