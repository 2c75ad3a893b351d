export { decodeProof, encodeProof, maxProofBytes } from './section-proof-codec.ts';
export { lastKeyOfPage, chainPageFor } from './chain-pages.ts';
export {
  maxPages,
  startChainSync,
  stepChainSync,
  type ChainSync,
  type ChainSyncStep,
} from './chain-sync.ts';
export {
  checkDestination,
  type MessageDestination,
  type SectionKnowledge,
  type DestinationCheck,
} from './check-destination.ts';
export {
  maxHops,
  startRedirects,
  stepRedirects,
  type RedirectState,
  type RedirectEvent,
  type RedirectStep,
  type RedirectView,
} from './redirects.ts';
export { maxTrackedPeers, pushedBy, pushersOf, pushersPerMember } from './push-gossip.ts';
