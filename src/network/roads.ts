/**
 * Roads to an elder, in the order to try them. Pure: what is reachable and what worked last come
 * in as facts, so that the order can be tested without a network.
 */
import type { Road, RoadPreference } from '#bridge/worker.ts';
import { rtcOffFrom } from './rtc/budget.ts';

export interface RoadFacts {
  readonly preference: RoadPreference;
  /** A page hosts RTCPeerConnections. */
  readonly rtcHost: boolean;
  /** RTCPeerConnections made in the tab's life, and how many this life of the worker may add. */
  readonly rtcUsed: number;
  readonly rtcLeft: number;
  /** The road this elder was last reached by. */
  readonly lastGood: Road | null;
  /** Roads that failed for this elder in this life of the worker. */
  readonly failed: ReadonlySet<Road>;
  /** The browser refuses WebRTC-Direct's changed SDP; one refusal holds for all elders. */
  readonly directRefused: boolean;
}

export function orderRoads(facts: RoadFacts): readonly Road[] {
  if (facts.preference !== 'automatic') {
    return facts.preference === 'websocket' || facts.rtcHost ? [facts.preference] : [];
  }
  const rtcWanted = facts.rtcHost && facts.rtcLeft > 0;
  const rtcPossible = facts.rtcHost && facts.rtcUsed < rtcOffFrom;
  const rtcRoads: readonly Road[] = facts.directRefused ? ['relayed'] : ['relayed', 'direct'];
  const roads: readonly Road[] = rtcWanted
    ? [...rtcRoads, 'websocket']
    : rtcPossible
      ? ['websocket', ...rtcRoads]
      : ['websocket'];
  // Stable sort: of the WebRTC roads the one that worked last comes first, failed roads come last.
  // WebSocket is never preferred for having worked: spared connections would end WebRTC for good.
  const rank = (road: Road): number =>
    (facts.failed.has(road) ? 2 : 0) -
    (road === facts.lastGood && road !== 'websocket' && rtcWanted ? 1 : 0);
  return [...roads].sort((a, b) => rank(a) - rank(b));
}

/** The multiaddrs of an elder that belong to a road; `relays` are the bootstrap nodes'. */
export function addressesFor(
  road: Road,
  peerId: string,
  addresses: readonly string[],
  relays: readonly string[],
): readonly string[] {
  const withPeer = (address: string): string =>
    address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`;
  switch (road) {
    case 'relayed':
      return relays.map((relay) => `${relay}/p2p-circuit/webrtc/p2p/${peerId}`);
    case 'direct':
      return addresses.filter((each) => each.includes('/webrtc-direct/')).map(withPeer);
    case 'websocket':
      return addresses
        .filter((each) => /\/(ws|wss)(\/|$)/.test(each) && !each.includes('/p2p-circuit'))
        .map(withPeer);
  }
}
