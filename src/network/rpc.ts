/**
 * Requests and replies over one long-lived stream per peer and protocol, matched by number.
 *
 * WebRTC gives no read back-pressure, so flow control lives here: at most
 * {@link maxInFlight} requests of ≤ 1 MiB wait for an answer on one stream; an asker that sends
 * more is cut off, and the bytes held for one peer stay bounded.
 */
import { err, ok, type Result } from '#core/result.ts';
import { createFrameReader, encodeFrame, maxPayloadBytes, type Frame } from './frame.ts';
import type { StreamAccount } from './inbound.ts';

export const maxInFlight = 8;
/** A peer's answers may cross with our next requests; twice the window is a lie, not a race. */
const maxServed = 2 * maxInFlight;
/** From the first byte of a frame to its last: a mebibyte at 20 kB/s. */
export const frameTimeoutMs = 60_000;
const drainTimeoutMs = 60_000;

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

/** For streams whose other end was chosen by us. */
const noAccount: StreamAccount = {
  hold: () => true,
  free: () => undefined,
  close: () => undefined,
};

/**
 * Answers requests on one inbound stream until it ends.
 * @param account what this peer may make us hold, from the first byte of a request until its answer
 * is sent; the stream ends when that is spent.
 * @param invalid called before the stream ends for bytes that no program of ours sends.
 */
export function serveRpc(
  stream: ByteStream,
  answer: (request: Uint8Array) => Promise<Uint8Array>,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
  account: StreamAccount = noAccount,
  invalid: () => void = () => undefined,
): void {
  let serving = 0;
  let asking = true;
  const write = createWriter(stream, counters);
  const fail = (reason: string): void => stream.abort(new Error(reason));
  const closeWhenDone = (): void => {
    if (!asking && serving === 0) stream.close().catch(() => fail('closed'));
  };
  const serve = async (frame: Frame): Promise<void> => {
    let held = frame.payload.length;
    try {
      const payload = await answer(frame.payload);
      if (!account.hold(payload.length)) return fail('more bytes than this node holds for a peer');
      held += payload.length;
      await write({ id: frame.id, kind: 'reply', payload });
    } finally {
      account.free(held);
    }
  };

  const take = (frame: Frame): boolean => {
    if (frame.kind !== 'request' || serving >= maxServed) {
      invalid();
      fail('more requests than the protocol allows');
      return false;
    }
    if (!account.hold(frame.payload.length)) {
      fail('more bytes than this node holds for a peer');
      return false;
    }
    serving += 1;
    void serve(frame)
      .catch((error: unknown) => stream.abort(toError(error)))
      .finally(() => {
        serving -= 1;
        closeWhenDone();
      });
    return true;
  };
  readFrames(stream, counters, account, take, { malformed: invalid });
  stream.addEventListener('close', account.close);
  stream.addEventListener('remoteCloseWrite', () => {
    asking = false;
    closeWhenDone();
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

type Settle = (result: Result<Uint8Array, RpcError>) => void;

/**
 * Asks over one outbound stream; requests above the window wait their turn, and that counts toward
 * their time.
 * @param onEnd called once, when nothing more can be asked.
 */
export function createRpcClient(
  stream: ByteStream,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
  onEnd: () => void = () => undefined,
): RpcClient {
  const waiting = new Map<number, Settle>();
  /** What waits for a place in the window, in order. */
  const turns = new Set<{ readonly begin: () => void; readonly settle: Settle }>();
  let nextId = 1;
  let closed = false;
  /** Answers that may still come to requests that were given up. */
  let lateAnswers = 0;

  const end = (): void => {
    if (closed) return;
    closed = true;
    for (const settle of [...waiting.values()]) settle(err({ kind: 'unreachable' }));
    for (const { settle } of [...turns]) settle(err({ kind: 'unreachable' }));
    onEnd();
  };
  stream.addEventListener('close', end);
  stream.addEventListener('remoteCloseWrite', end);
  const write = createWriter(stream, counters);
  readFrames(
    stream,
    counters,
    noAccount,
    (frame) => {
      const settle = frame.kind === 'reply' ? waiting.get(frame.id) : undefined;
      if (settle !== undefined) settle(ok(frame.payload));
      else if (frame.kind === 'reply' && lateAnswers > 0) lateAnswers -= 1;
      else {
        stream.abort(new Error('an answer to no request'));
        end();
        return false;
      }
      return true;
    },
    { end },
  );

  const startNext = (): void => {
    for (const turn of turns) {
      if (closed || waiting.size >= maxInFlight) return;
      turns.delete(turn);
      turn.begin();
    }
  };

  const request = (
    payload: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    done: Settle,
  ): void => {
    let id: number | undefined;
    const settle: Settle = (result) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      turns.delete(turn);
      if (id !== undefined && waiting.delete(id)) {
        if (!result.ok && result.error.kind === 'timeout') lateAnswers += 1;
        startNext();
      }
      done(result);
    };
    const giveUp = (): void => settle(err({ kind: 'timeout' }));
    const begin = (): void => {
      id = nextId++;
      waiting.set(id, settle);
      write({ id, kind: 'request', payload }).catch(() => settle(err({ kind: 'unreachable' })));
    };
    const turn = { begin, settle };
    const timer = setTimeout(giveUp, timeoutMs);
    signal?.addEventListener('abort', giveUp, { once: true });
    turns.add(turn);
    startNext();
  };

  return {
    request: async (payload, timeoutMs, signal) => {
      if (payload.length > maxPayloadBytes) return err({ kind: 'tooLarge' });
      if (closed) return err({ kind: 'unreachable' });
      if (signal?.aborted === true) return err({ kind: 'timeout' });
      return new Promise((done) => request(payload, timeoutMs, signal, done));
    },
    inFlight: () => waiting.size,
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
      if (!stream.send(bytes))
        await stream.onDrain({ signal: AbortSignal.timeout(drainTimeoutMs) });
    });
    tail = written.catch(() => undefined);
    return written;
  };
}

/** @param take returns false when it has ended the stream: what else arrived is thrown away. */
function readFrames(
  stream: ByteStream,
  counters: RpcCounters,
  account: StreamAccount,
  take: (frame: Frame) => boolean,
  { end, malformed }: { readonly end?: () => void; readonly malformed?: () => void },
): void {
  const reader = createFrameReader();
  let broken = false;
  let held = 0;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => {
    broken = true;
    clearTimeout(deadline);
    account.free(held);
    held = 0;
  };
  const fail = (reason: string): void => {
    stop();
    stream.abort(new Error(reason));
    end?.();
  };

  stream.addEventListener('close', stop);
  stream.addEventListener('message', ({ data }) => {
    if (broken) return;
    const bytes = data instanceof Uint8Array ? data : data.subarray();
    counters.bytesIn += bytes.length;
    const frames = reader.push(bytes);
    if (frames === undefined) {
      malformed?.();
      return fail('malformed frame');
    }
    if (frames.length > 0 || !reader.unfinished()) {
      clearTimeout(deadline);
      deadline = undefined;
    }
    // Freed before the requests of these frames are held in its place.
    const holds = reader.held();
    if (holds < held) account.free(held - holds);
    else if (!account.hold(holds - held)) return fail('more bytes than this node holds for a peer');
    held = holds;
    for (const frame of frames) {
      if (!take(frame)) return stop();
    }
    if (!broken && reader.unfinished()) {
      deadline ??= setTimeout(() => fail('a frame took too long'), frameTimeoutMs);
    }
  });
}

const toError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));
