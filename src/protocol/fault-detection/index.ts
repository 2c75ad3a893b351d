export {
  maxIssuesPerRound,
  observe,
  nextSuspect,
  startFaultDetection,
  suspicionOf,
  suspicionsOf,
} from './find-suspects.ts';
export {
  issues,
  defaultFaultDetection,
  type Evidence,
  type FaultDetectionConfig,
  type FaultDetectionEvent,
  type FaultDetectionState,
  type Issue,
  type PeerKind,
  type Suspicion,
} from './state.ts';
