export { sectionNode } from './machine.ts';
export {
  performSectionNodeJob,
  type NodeSuites,
  type SectionNodeJob,
  type SectionNodeResult,
} from './jobs.ts';
export { genesisState, hintIn } from './first-hint.ts';
export { keepLinks } from './links.ts';
export { knownSections } from './way.ts';
export { obsoleteAfter } from './obsolete.ts';
export type { JoinRefusal, NodeMessage, NodePayload } from './messages.ts';
export type {
  HeldShare,
  SectionNode,
  SectionNodeConfig,
  SectionNodeFact,
  SectionNodeFault,
  SectionNodeInput,
  SectionNodeOutput,
  SectionNodeState,
  Standing,
} from './state.ts';
