/** Plain libp2p peers without our code. Keys are free: a banned peer returns under another. */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import type { Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { webSockets } from '@libp2p/websockets';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

export type RawPeer = Awaited<ReturnType<typeof createRawPeer>>;

/** A libp2p node with an unknown key. */
export const createRawPeer = () =>
  createLibp2p({
    transports: [tcp(), webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
  });

/** Consecutive failures after which an outsider takes another key. */
export const failuresPerKey = 3;

export interface FreshKeys {
  readonly open: (address: string, protocol: string, timeoutMs: number) => Promise<Stream>;
  /** The outcome of a stream, or of the attempt to open it. */
  readonly report: (outcome: 'cut' | 'open') => void;
  /** Keys used so far. */
  readonly keys: () => number;
  readonly stop: () => Promise<void>;
}

/** An outsider that returns under a new key whenever it is banned. */
export function openFreshKeys(): FreshKeys {
  let peer: Promise<RawPeer> | null = null;
  let failures = 0;
  let keys = 0;
  const stop = async (): Promise<void> => {
    const old = peer;
    peer = null;
    await (await old)?.stop();
  };
  return {
    open: async (address, protocol, timeoutMs) => {
      if (peer === null) {
        keys += 1;
        peer = createRawPeer();
      }
      const signal = AbortSignal.timeout(timeoutMs);
      return (await peer).dialProtocol(multiaddr(address), protocol, { signal });
    },
    report: (outcome) => {
      failures = outcome === 'cut' ? failures + 1 : 0;
      if (failures < failuresPerKey) return;
      failures = 0;
      void stop().catch(() => undefined);
    },
    keys: () => keys,
    stop,
  };
}
