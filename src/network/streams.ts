/**
 * One rpc client per peer and protocol over a libp2p host, opened on demand and shared; a second one
 * for large pieces, so that a small request does not wait until a mebibyte has gone.
 */
import type { Connection } from '@libp2p/interface';
import { err, type Result } from '#core/result.ts';
import { slowFrameMs, watchLink } from './link.ts';
import {
  createRpcClient,
  type ByteStream,
  type Patience,
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
    patience: Patience,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly counters: (peer: string) => RpcCounters;
  readonly drop: (peer: string) => void;
  /** Streams open or being opened, and peers whose bytes are counted. */
  readonly sizes: () => { readonly streams: number; readonly counted: number };
}

/** Peers whose bytes are counted; beyond, those without a stream are forgotten, the oldest first. */
const maxCounted = 1_024;

export function createStreamPool(): StreamPool {
  const clients = new Map<string, Promise<RpcClient>>();
  const counters = new Map<string, RpcCounters>();
  const link = watchLink();
  /** How many streams a peer has. */
  const open = new Map<string, number>();
  const countersOf = (peer: string): RpcCounters => {
    const known = counters.get(peer) ?? { bytesIn: 0, bytesOut: 0 };
    counters.set(peer, known);
    if (counters.size > maxCounted) {
      for (const other of counters.keys()) {
        if (counters.size <= maxCounted) break;
        if (other !== peer && !open.has(other)) counters.delete(other);
      }
    }
    return known;
  };
  const change = (peer: string, by: number): void => {
    const left = (open.get(peer) ?? 0) + by;
    if (left > 0) open.set(peer, left);
    else open.delete(peer);
  };

  const openClient = async (
    peer: string,
    protocol: string,
    connect: () => Promise<Connection>,
    timeoutMs: number,
    onEnd: () => void,
  ): Promise<RpcClient> => {
    const connection = await connect();
    const stream = await connection.newStream(protocol, {
      signal: AbortSignal.timeout(timeoutMs),
      maxOutboundStreams: 64,
    });
    return createRpcClient(stream as unknown as ByteStream, countersOf(peer), onEnd, link);
  };

  /** The open client, or a new one that forgets itself when it ends or cannot be opened. */
  const clientFor = (
    peer: string,
    protocol: string,
    connect: () => Promise<Connection>,
    patience: Patience,
  ): Promise<RpcClient> => {
    const isTransfer = typeof patience !== 'number';
    const timeoutMs = isTransfer ? patience.idleMs : patience;
    const key = `${peer} ${protocol}${isTransfer ? ' pieces' : ''}`;
    const known = clients.get(key);
    if (known !== undefined) return known;
    let ended = false;
    const forget = (): void => {
      if (ended) return;
      ended = true;
      change(peer, -1);
      if (clients.get(key) === opening) clients.delete(key);
    };
    change(peer, 1);
    const opening = openClient(peer, protocol, connect, timeoutMs, forget);
    clients.set(key, opening);
    opening.catch(forget);
    return opening;
  };

  return {
    request: async (peer, protocol, connect, payload, patience, signal) => {
      const startedMs = performance.now();
      let client: RpcClient;
      try {
        client = await before(signal, clientFor(peer, protocol, connect, patience));
      } catch {
        const kind = signal?.aborted === true ? 'timeout' : 'unreachable';
        // A handshake that took its time on a busy link tells nothing; a refusal comes at once.
        const isLate = performance.now() - startedMs > slowFrameMs;
        return err(isLate && link.slowSince(startedMs) ? { kind, congested: true } : { kind });
      }
      // Connecting had as long for itself: a busy machine takes seconds to agree on keys.
      return client.request(payload, patience, signal);
    },
    counters: countersOf,
    drop: (peer) => {
      for (const [key, opening] of clients) {
        if (!key.startsWith(`${peer} `)) continue;
        clients.delete(key);
        void opening.then((client) => client.close()).catch(() => undefined);
      }
    },
    sizes: () => ({ streams: clients.size, counted: counters.size }),
  };
}

/** Waits no longer than the signal; what was begun goes on for others. */
async function before<T>(signal: AbortSignal | undefined, awaited: Promise<T>): Promise<T> {
  if (signal === undefined) return awaited;
  let leave: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(new Error('aborted'));
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([awaited, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
