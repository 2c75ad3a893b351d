/**
 * Requests and replies over one long-lived stream per peer and protocol, matched by number.
 *
 * WebRTC gives no read back-pressure, so flow control lives here: at most
 * {@link maxInFlight} requests of ≤ 1 MiB wait for an answer on one stream; an asker that sends
 * more is cut off, and the bytes held for one peer stay bounded.
 */
import { err, ok, type Result } from '#core/result.ts';
import { createFrameReader, encodeFrame, maxPayloadBytes, type Frame } from './frame.ts';

export const maxInFlight = 8;
/** A peer's answers may cross with our next requests; twice the window is a lie, not a race. */
const maxServed = 2 * maxInFlight;

/** The part of a libp2p stream that is used here. */
export interface ByteStream {
  send(bytes: Uint8Array): boolean;
  onDrain(options?: { signal?: AbortSignal }): Promise<void>;
  close(): Promise<void>;
  abort(error: Error): void;
  addEventListener(type: 'message', listener: (event: { data: Chunk }) => void): void;
  addEventListener(type: 'close' | 'remoteCloseWrite', listener: () => void): void;
}
type Chunk = Uint8Array | { subarray(): Uint8Array };

export type RpcError =
  { readonly kind: 'unreachable' } | { readonly kind: 'timeout' } | { readonly kind: 'tooLarge' };

export interface RpcCounters {
  bytesIn: number;
  bytesOut: number;
}

/** Answers requests on one inbound stream until it ends. */
export function serveRpc(
  stream: ByteStream,
  answer: (request: Uint8Array) => Promise<Uint8Array>,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
): void {
  let serving = 0;
  const write = createWriter(stream, counters);
  readFrames(stream, counters, (frame) => {
    if (frame.kind !== 'request' || serving >= maxServed) {
      stream.abort(new Error('more requests than the protocol allows'));
      return;
    }
    serving += 1;
    void answer(frame.payload)
      .then((payload) => write({ id: frame.id, kind: 'reply', payload }))
      .catch((error: unknown) => stream.abort(toError(error)))
      .finally(() => {
        serving -= 1;
      });
  });
}

export interface RpcClient {
  readonly request: (
    payload: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly inFlight: () => number;
  readonly closed: () => boolean;
  readonly close: () => void;
}

/** Asks over one outbound stream; requests above the window wait their turn. */
export function createRpcClient(
  stream: ByteStream,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
): RpcClient {
  const waiting = new Map<number, (result: Result<Uint8Array, RpcError>) => void>();
  const turns: (() => void)[] = [];
  let inFlight = 0;
  let nextId = 1;
  let closed = false;

  const end = (): void => {
    if (closed) return;
    closed = true;
    for (const settle of [...waiting.values()]) settle(err({ kind: 'unreachable' }));
    waiting.clear();
    for (const turn of turns.splice(0)) turn();
  };
  stream.addEventListener('close', end);
  stream.addEventListener('remoteCloseWrite', end);
  const write = createWriter(stream, counters);
  readFrames(
    stream,
    counters,
    (frame) => {
      if (frame.kind === 'reply') waiting.get(frame.id)?.(ok(frame.payload));
    },
    end,
  );

  return {
    request: async (payload, timeoutMs, signal) => {
      if (payload.length > maxPayloadBytes) return err({ kind: 'tooLarge' });
      if (inFlight >= maxInFlight) await new Promise<void>((turn) => turns.push(turn));
      if (closed) return err({ kind: 'unreachable' });
      if (signal?.aborted === true) return err({ kind: 'timeout' });
      inFlight += 1;
      const id = nextId++;
      try {
        return await new Promise<Result<Uint8Array, RpcError>>((settle) => {
          const timer = setTimeout(() => settle(err({ kind: 'timeout' })), timeoutMs);
          signal?.addEventListener('abort', () => settle(err({ kind: 'timeout' })), { once: true });
          waiting.set(id, (result) => {
            clearTimeout(timer);
            settle(result);
          });
          write({ id, kind: 'request', payload }).catch(() => {
            clearTimeout(timer);
            settle(err({ kind: 'unreachable' }));
          });
        });
      } finally {
        waiting.delete(id);
        inFlight -= 1;
        turns.shift()?.();
      }
    },
    inFlight: () => inFlight,
    closed: () => closed,
    close: () => {
      end();
      void stream.close().catch(() => stream.abort(new Error('closed')));
    },
  };
}

function createWriter(stream: ByteStream, counters: RpcCounters): (frame: Frame) => Promise<void> {
  // One writer at a time: frames must not interleave, and each waits until the stream drained.
  let tail: Promise<void> = Promise.resolve();
  return (frame) => {
    const bytes = encodeFrame(frame);
    const written = tail.then(async () => {
      counters.bytesOut += bytes.length;
      if (!stream.send(bytes)) await stream.onDrain({ signal: AbortSignal.timeout(60_000) });
    });
    tail = written.catch(() => undefined);
    return written;
  };
}

function readFrames(
  stream: ByteStream,
  counters: RpcCounters,
  take: (frame: Frame) => void,
  end: () => void = () => undefined,
): void {
  const reader = createFrameReader();
  let broken = false;
  stream.addEventListener('message', ({ data }) => {
    if (broken) return;
    const bytes = data instanceof Uint8Array ? data : data.subarray();
    counters.bytesIn += bytes.length;
    const frames = reader.push(bytes);
    if (frames === undefined) {
      broken = true;
      stream.abort(new Error('malformed frame'));
      end();
      return;
    }
    for (const frame of frames) take(frame);
  });
}

const toError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));
