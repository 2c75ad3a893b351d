/** Libp2p peers without a line of ours. Keys are free: whoever is cut off comes back under another. */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import type { Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { webSockets } from '@libp2p/websockets';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

export type Stranger = Awaited<ReturnType<typeof createStranger>>;

/** A libp2p node with a key nobody knows. */
export const createStranger = () =>
  createLibp2p({
    transports: [tcp(), webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
  });

/** Failures in a row after which a stranger takes another key. */
export const failuresPerKey = 3;

export interface FreshKeys {
  readonly open: (address: string, protocol: string, timeoutMs: number) => Promise<Stream>;
  /** What became of a stream, or of the attempt to open it. */
  readonly report: (outcome: 'cut' | 'open') => void;
  /** Keys used so far. */
  readonly keys: () => number;
  readonly stop: () => Promise<void>;
}

/** A stranger that comes back under a new key whenever it is cut off. */
export function openFreshKeys(): FreshKeys {
  let peer: Promise<Stranger> | null = null;
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
        peer = createStranger();
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
