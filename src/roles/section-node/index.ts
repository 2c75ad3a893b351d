export { sectionNode } from './machine.ts';
export {
  performSectionNodeJob,
  type NodeSuites,
  type SectionNodeJob,
  type SectionNodeResult,
} from './jobs.ts';
export { genesisState, firstStateHint } from './joining/first-state-hint.ts';
export { persistNewLinks } from './stored-facts/stored-links.ts';
export { prunableAfter } from './stored-facts/prune-facts.ts';
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
  MemberRole,
} from './state.ts';
