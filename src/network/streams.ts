/** One rpc client per peer and protocol over a libp2p host, opened on demand and shared. */
import type { Connection } from '@libp2p/interface';
import { err, type Result } from '#core/result.ts';
import {
  createRpcClient,
  type ByteStream,
  type RpcClient,
  type RpcCounters,
  type RpcError,
} from './rpc.ts';

export interface StreamPool {
  readonly request: (
    peer: string,
    protocol: string,
    connect: () => Promise<Connection>,
    payload: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly counters: (peer: string) => RpcCounters;
  readonly drop: (peer: string) => void;
}

export function createStreamPool(): StreamPool {
  const clients = new Map<string, Promise<RpcClient>>();
  const counters = new Map<string, RpcCounters>();
  const countersOf = (peer: string): RpcCounters => {
    const known = counters.get(peer) ?? { bytesIn: 0, bytesOut: 0 };
    counters.set(peer, known);
    return known;
  };

  const open = async (
    peer: string,
    protocol: string,
    connect: () => Promise<Connection>,
    timeoutMs: number,
  ): Promise<RpcClient> => {
    const connection = await connect();
    const stream = await connection.newStream(protocol, {
      signal: AbortSignal.timeout(timeoutMs),
      maxOutboundStreams: 64,
    });
    return createRpcClient(stream as unknown as ByteStream, countersOf(peer));
  };

  return {
    request: async (peer, protocol, connect, payload, timeoutMs, signal) => {
      const key = `${peer} ${protocol}`;
      let client: RpcClient;
      try {
        let opening = clients.get(key);
        if (opening !== undefined && (await opening).closed()) {
          clients.delete(key);
          opening = undefined;
        }
        if (opening === undefined) {
          opening = clients.get(key) ?? open(peer, protocol, connect, timeoutMs);
          clients.set(key, opening);
        }
        client = await opening;
      } catch {
        clients.delete(key);
        return err({ kind: 'unreachable' });
      }
      return client.request(payload, timeoutMs, signal);
    },
    counters: countersOf,
    drop: (peer) => {
      for (const [key, opening] of clients) {
        if (!key.startsWith(`${peer} `)) continue;
        clients.delete(key);
        void opening.then((client) => client.close()).catch(() => undefined);
      }
    },
  };
}
