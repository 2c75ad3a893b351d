/**
 * Orders the transports to an elder. Pure: reachability and the last working transport are inputs, so the
 * order can be tested without a network.
 */
import type { Transport, TransportPreference } from '#bridge/worker-messages.ts';
import { addressOfPeer, isPrivateHost } from './address-checks.ts';
import { rtcDisableFrom } from './rtc/budget.ts';

export interface TransportFacts {
  readonly preference: TransportPreference;
  /** A page hosts RTCPeerConnections. */
  readonly rtcHost: boolean;
  /** RTCPeerConnections made since the tab was opened, and how many this run of the worker may add. */
  readonly rtcUsed: number;
  readonly rtcLeft: number;
  /** The transport that last reached this elder. */
  readonly lastWorking: Transport | null;
  /** Transports that failed for this elder in this run of the worker. */
  readonly failed: ReadonlySet<Transport>;
  /** The browser refuses WebRTC-Direct's changed SDP; one refusal applies to all elders. */
  readonly directRefused: boolean;
}

export function orderTransports(facts: TransportFacts): readonly Transport[] {
  if (facts.preference !== 'automatic') {
    return facts.preference === 'websocket' || facts.rtcHost ? [facts.preference] : [];
  }
  const rtcWanted = facts.rtcHost && facts.rtcLeft > 0;
  const rtcPossible = facts.rtcHost && facts.rtcUsed < rtcDisableFrom;
  const rtcTransports: readonly Transport[] = facts.directRefused
    ? ['relayed']
    : ['relayed', 'direct'];
  const transports: readonly Transport[] = rtcWanted
    ? [...rtcTransports, 'websocket']
    : rtcPossible
      ? ['websocket', ...rtcTransports]
      : ['websocket'];
  // Stable sort: the WebRTC transport that worked last comes first, failed transports last. WebSocket gets
  // no bonus for having worked: conserving connections would disable WebRTC for good.
  const rank = (transport: Transport): number =>
    (facts.failed.has(transport) ? 2 : 0) -
    (transport === facts.lastWorking && transport !== 'websocket' && rtcWanted ? 1 : 0);
  return [...transports].sort((a, b) => rank(a) - rank(b));
}

/** Addresses dialled per elder and transport: two interfaces, or IPv4 and IPv6. */
export const maxDialledPerTransport = 2;

/**
 * The multiaddrs of an elder for a transport; `relays` are the bootstrap nodes'. Elders publish their own
 * addresses, so an address that names another peer is dropped, and so is a private one, unless the app
 * itself was served from there.
 */
export function addressesFor(
  transport: Transport,
  peerId: string,
  addresses: readonly string[],
  relays: readonly string[],
  isPrivate: boolean,
): readonly string[] {
  const fitting = (isOfTransport: (address: string) => boolean): readonly string[] =>
    addresses
      .filter((each) => isOfTransport(each) && (isPrivate || !isPrivateHost(hostOf(each))))
      .flatMap((each) => addressOfPeer(each, peerId) ?? [])
      .slice(0, maxDialledPerTransport);
  switch (transport) {
    case 'relayed':
      return relays.map((relay) => `${relay}/p2p-circuit/webrtc/p2p/${peerId}`);
    case 'direct':
      return fitting((each) => each.includes('/webrtc-direct/'));
    case 'websocket':
      return fitting((each) => /\/(ws|wss)(\/|$)/.test(each) && !each.includes('/p2p-circuit'));
  }
}

export const hostOf = (address: string): string => address.split('/')[2] ?? '';
