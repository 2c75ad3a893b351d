/**
 * Roads to an elder, in the order to try them. Pure: what is reachable and what worked last come
 * in as facts, so that the order can be tested without a network.
 */
import type { Road, RoadPreference } from '#bridge/worker.ts';
import { addressOfPeer, isPrivateHost } from './dial.ts';
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

/** Addresses of one elder that are dialled on one road: on two interfaces, or over IPv4 and IPv6. */
export const maxDialledPerRoad = 2;

/**
 * The multiaddrs of an elder that belong to a road; `relays` are the bootstrap nodes'. An elder says
 * itself where it is, so an address that names another peer is dropped, and one in a private network
 * too, unless the app itself came from there.
 */
export function addressesFor(
  road: Road,
  peerId: string,
  addresses: readonly string[],
  relays: readonly string[],
  isPrivate: boolean,
): readonly string[] {
  const fitting = (isOfRoad: (address: string) => boolean): readonly string[] =>
    addresses
      .filter((each) => isOfRoad(each) && (isPrivate || !isPrivateHost(hostOf(each))))
      .flatMap((each) => addressOfPeer(each, peerId) ?? [])
      .slice(0, maxDialledPerRoad);
  switch (road) {
    case 'relayed':
      return relays.map((relay) => `${relay}/p2p-circuit/webrtc/p2p/${peerId}`);
    case 'direct':
      return fitting((each) => each.includes('/webrtc-direct/'));
    case 'websocket':
      return fitting((each) => /\/(ws|wss)(\/|$)/.test(each) && !each.includes('/p2p-circuit'));
  }
}

export const hostOf = (address: string): string => address.split('/')[2] ?? '';
