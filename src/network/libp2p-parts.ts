/** What the hosts of nodes and of browsers have in common. */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import type { Libp2p } from 'libp2p';

/** No ICE server: WebRTC finds its addresses without third parties. */
export const rtcConfiguration = { iceServers: [] };

/** A host starts after its listeners of events are added. */
export const hostDefaults = {
  start: false,
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
};

/** @param force opens a new connection even if one is open. Errors: rejects when no address answers. */
export const dialAddresses = (
  libp2p: Libp2p,
  addresses: readonly string[],
  timeoutMs: number,
  force = false,
): Promise<Connection> =>
  libp2p.dial(
    addresses.map((address) => multiaddr(address)),
    { signal: AbortSignal.timeout(timeoutMs), force },
  );
