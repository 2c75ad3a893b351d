/**
 * One RPC client per peer and protocol over a libp2p host, opened on demand and shared; a second one for
 * large pieces, so that a small request does not wait behind a mebibyte.
 */
import type { Connection } from '@libp2p/interface';
import { err, type Result } from '#core/result.ts';
import { slowFrameMs, createLinkMonitor } from './link-monitor.ts';
import {
  createRpcClient,
  type ByteStream,
  type RequestTimeout,
  type RpcClient,
  type RpcCounters,
  type RpcError,
} from './rpc-stream.ts';

export interface StreamPool {
  readonly request: (
    peer: string,
    protocol: string,
    connect: () => Promise<Connection>,
    payload: Uint8Array,
    timeout: RequestTimeout,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly counters: (peer: string) => RpcCounters;
  readonly drop: (peer: string) => void;
  /** Streams open or being opened, and peers with byte counters. */
  readonly sizes: () => { readonly streams: number; readonly counted: number };
}

/** Peers with byte counters; above this, the oldest without a stream are evicted. */
const maxCounted = 1_024;

export function createStreamPool(): StreamPool {
  const clients = new Map<string, Promise<RpcClient>>();
  const counters = new PeerCounters();
  const link = createLinkMonitor();

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
    return createRpcClient(stream as unknown as ByteStream, counters.of(peer), onEnd, link);
  };

  /** The open client, or a new one that removes itself when it ends or cannot be opened. */
  const clientFor = (
    peer: string,
    protocol: string,
    connect: () => Promise<Connection>,
    timeout: RequestTimeout,
  ): Promise<RpcClient> => {
    const isTransfer = typeof timeout !== 'number';
    const timeoutMs = isTransfer ? timeout.idleMs : timeout;
    const key = `${peer} ${protocol}${isTransfer ? ' pieces' : ''}`;
    const known = clients.get(key);
    if (known !== undefined) return known;
    let ended = false;
    const forget = (): void => {
      if (ended) return;
      ended = true;
      counters.changeStreamCount(peer, -1);
      if (clients.get(key) === opening) clients.delete(key);
    };
    counters.changeStreamCount(peer, 1);
    const opening = openClient(peer, protocol, connect, timeoutMs, forget);
    clients.set(key, opening);
    opening.catch(forget);
    return opening;
  };

  return {
    request: async (peer, protocol, connect, payload, timeout, signal) => {
      const startedMs = performance.now();
      let client: RpcClient;
      try {
        client = await orAborted(signal, clientFor(peer, protocol, connect, timeout));
      } catch {
        const kind = signal?.aborted === true ? 'timeout' : 'unreachable';
        // A slow handshake on a busy link is no evidence; a refusal comes immediately.
        const isLate = performance.now() - startedMs > slowFrameMs;
        return err(isLate && link.wasSlowSince(startedMs) ? { kind, congested: true } : { kind });
      }
      // Connecting had its own timeout: a busy machine takes seconds for the key agreement.
      return client.request(payload, timeout, signal);
    },
    counters: (peer) => counters.of(peer),
    drop: (peer) => {
      for (const [key, opening] of clients) {
        if (!key.startsWith(`${peer} `)) continue;
        clients.delete(key);
        void opening.then((client) => client.close()).catch(() => undefined);
      }
    },
    sizes: () => ({ streams: clients.size, counted: counters.size() }),
  };
}

/** Stops waiting when the signal fires; the operation itself continues for other callers. */
async function orAborted<T>(signal: AbortSignal | undefined, awaited: Promise<T>): Promise<T> {
  if (signal === undefined) return awaited;
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error('aborted'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([awaited, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Byte counters of peers; {@link maxCounted} bounds them. */
class PeerCounters {
  readonly #counters = new Map<string, RpcCounters>();
  readonly #streamCounts = new Map<string, number>();

  of(peer: string): RpcCounters {
    const known = this.#counters.get(peer) ?? { bytesIn: 0, bytesOut: 0 };
    this.#counters.set(peer, known);
    for (const other of this.#counters.keys()) {
      if (this.#counters.size <= maxCounted) break;
      if (other !== peer && !this.#streamCounts.has(other)) this.#counters.delete(other);
    }
    return known;
  }

  changeStreamCount(peer: string, by: number): void {
    const left = (this.#streamCounts.get(peer) ?? 0) + by;
    if (left > 0) this.#streamCounts.set(peer, left);
    else this.#streamCounts.delete(peer);
  }

  size(): number {
    return this.#counters.size;
  }
}
