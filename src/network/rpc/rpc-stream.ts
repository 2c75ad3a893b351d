/**
 * Requests and replies over one long-lived stream per peer and protocol, matched by number.
 *
 * WebRTC gives no read backpressure, so flow control is here: at most {@link maxInFlight} requests of ≤ 1
 * MiB are unanswered on one stream; a client that sends more is disconnected, and the bytes held for one
 * peer stay bounded. An abandoned request keeps its slot until its late reply arrives: the other end may
 * still be processing it.
 */
import { err, ok, type Result } from '#core/result.ts';
import { maxPayloadBytes, type Frame } from './frame.ts';
import {
  trackChannelBuffer,
  createFrameWriter,
  readFrames,
  type ByteStream,
  type RpcCounters,
  type FrameWrite,
} from './frame-io.ts';
import type { StreamAccount } from '../limits/held-bytes.ts';
import { slowFrameMs, createLinkMonitor, type LinkMonitor } from './link-monitor.ts';

export { frameTimeoutMs, type ByteStream, type RpcCounters } from './frame-io.ts';

export const maxInFlight = 8;
/** Includes abandoned requests; below {@link maxServed}, because a reply may cross with a request. */
export const maxUnanswered = 12;
/** Twice the window is an attack, not a race. */
const maxServed = 2 * maxInFlight;
/** When abandoned requests fill all slots and no byte arrives for this long, the stream is closed. */
const unresponsiveStreamMs = 60_000;

/**
 * How long to wait for a reply: a total time, or for large pieces `idleMs` without progress on the stream
 * and `totalMs` in all.
 */
export type RequestTimeout = number | { readonly idleMs: number; readonly totalMs: number };

/** `congested`: our own bytes filled the link, so the failure is no evidence about the other end. */
export type RpcError =
  | { readonly kind: 'unreachable' | 'timeout'; readonly congested?: true }
  | { readonly kind: 'tooLarge' };

export const isCongested = (error: { readonly kind: string; readonly congested?: true }): boolean =>
  error.congested === true;

/** For streams whose other end was chosen by us. */
const unlimitedAccount: StreamAccount = {
  hold: () => true,
  free: () => undefined,
  receiving: () => true,
  sending: () => undefined,
  close: () => undefined,
};

/**
 * Serves requests on one inbound stream until it ends.
 * @param account the bytes this peer may make us hold, from the first byte of a request until its reply is
 * sent; the stream ends when they are spent.
 * @param invalid called before the stream ends for bytes that none of our programs sends.
 */
export function serveRpc(
  stream: ByteStream,
  answer: (request: Uint8Array) => Promise<Uint8Array>,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
  account: StreamAccount = unlimitedAccount,
  invalid: () => void = () => undefined,
): void {
  let serving = 0;
  let acceptsRequests = true;
  const link = createLinkMonitor();
  const write = createFrameWriter(stream, counters, account, link);
  const fail = (reason: string): void => stream.abort(new Error(reason));
  const pollChannel = trackChannelBuffer(stream, account, fail);
  const closeWhenDone = (): void => {
    if (!acceptsRequests && serving === 0) stream.close().catch(() => fail('closed'));
  };
  const serve = async (frame: Frame): Promise<void> => {
    let held = frame.payload.length;
    try {
      const payload = await answer(frame.payload);
      if (!account.hold(payload.length)) return fail('more bytes than this node holds for a peer');
      held += payload.length;
      await write({ id: frame.id, kind: 'reply', payload }).done;
    } finally {
      account.free(held);
      pollChannel();
    }
  };

  const onFrame = (frame: Frame): boolean => {
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
  readFrames(stream, counters, account, link, onFrame, { onMalformed: invalid });
  stream.addEventListener('close', () => account.close());
  stream.addEventListener('remoteCloseWrite', () => {
    acceptsRequests = false;
    closeWhenDone();
  });
}

export interface RpcClient {
  readonly request: (
    payload: Uint8Array,
    timeout: RequestTimeout,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly inFlight: () => number;
  readonly closed: () => boolean;
  readonly close: () => void;
}

/**
 * Sends requests over one outbound stream; requests above the window are queued, which counts toward their
 * time.
 * @param onEnd called once, when no more requests can be sent.
 */
export function createRpcClient(
  stream: ByteStream,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
  onEnd: () => void = () => undefined,
  link: LinkMonitor = createLinkMonitor(),
): RpcClient {
  const requests = new OutboundRequests(stream, counters, onEnd, link);
  return {
    request: async (payload, timeout, signal) => {
      if (payload.length > maxPayloadBytes) return err({ kind: 'tooLarge' });
      if (requests.isClosed) return err({ kind: 'unreachable' });
      if (signal?.aborted === true) return err({ kind: 'timeout' });
      return new Promise((done) =>
        requests.add(new OutboundRequest(requests, payload, timeout, signal, done)),
      );
    },
    inFlight: () => requests.inFlight.size,
    closed: () => requests.isClosed,
    close: () => {
      requests.end();
      void stream.close().catch(() => stream.abort(new Error('closed')));
    },
  };
}

/** The requests of one stream: those with a slot in the window, and those that wait for one. */
class OutboundRequests {
  readonly stream: ByteStream;
  readonly counters: RpcCounters;
  readonly link: LinkMonitor;
  readonly inFlight = new Map<number, OutboundRequest>();
  isClosed = false;
  /** When bytes of any frame last moved, and when the last ones arrived. */
  progressMs = -Infinity;
  receivedMs = performance.now();
  readonly #queue = new Set<OutboundRequest>();
  readonly #onEnd: () => void;
  readonly #write: (frame: Frame) => FrameWrite;
  #nextId = 1;

  constructor(stream: ByteStream, counters: RpcCounters, onEnd: () => void, link: LinkMonitor) {
    this.stream = stream;
    this.counters = counters;
    this.link = link;
    this.#onEnd = onEnd;
    const end = (): void => this.end();
    stream.addEventListener('close', end);
    stream.addEventListener('remoteCloseWrite', end);
    this.#write = createFrameWriter(stream, counters, unlimitedAccount, link, () => {
      this.progressMs = performance.now();
    });
    const onBytes = (): void => {
      this.progressMs = this.receivedMs = performance.now();
    };
    const onFrame = (frame: Frame): boolean => this.#onFrame(frame);
    readFrames(stream, counters, unlimitedAccount, link, onFrame, { onBytes, end });
  }

  add(request: OutboundRequest): void {
    this.#queue.add(request);
    this.#startNext();
  }

  /** The request has no slot yet and needs none any more. */
  dequeue(request: OutboundRequest): void {
    this.#queue.delete(request);
  }

  /** Takes a slot and starts sending. */
  send(request: OutboundRequest, payload: Uint8Array): { id: number; writing: FrameWrite } {
    const id = this.#nextId++;
    this.inFlight.set(id, request);
    return { id, writing: this.#write({ id, kind: 'request', payload }) };
  }

  end(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const request of [...this.inFlight.values(), ...this.#queue]) request.fail('unreachable');
    this.#onEnd();
  }

  abort(reason: string): void {
    this.stream.abort(new Error(reason));
    this.end();
  }

  /** @param isSending bytes of a large piece that are no longer needed may still be sent. */
  onAbandoned(isSending: boolean): void {
    if (this.isClosed) return;
    // Sending the rest would only fill the link.
    if (isSending && this.#countActive() === 0) return this.abort('given up');
    const isFull = this.inFlight.size >= maxUnanswered;
    if (isFull && performance.now() - this.receivedMs >= unresponsiveStreamMs)
      return this.abort('no answers');
    this.#startNext();
  }

  #onFrame(frame: Frame): boolean {
    const request = frame.kind === 'reply' ? this.inFlight.get(frame.id) : undefined;
    if (request === undefined) {
      this.abort('an answer to no request');
      return false;
    }
    this.inFlight.delete(frame.id);
    request.settle(ok(frame.payload));
    this.#startNext();
    return true;
  }

  #countActive(): number {
    return [...this.inFlight.values()].filter(({ isAbandoned }) => !isAbandoned).length;
  }

  #startNext(): void {
    for (const request of this.#queue) {
      const isFull = this.#countActive() >= maxInFlight || this.inFlight.size >= maxUnanswered;
      if (this.isClosed || isFull) return;
      this.#queue.delete(request);
      request.begin();
    }
  }
}

/** One request, from its call until its slot is free again. */
class OutboundRequest {
  /** The caller no longer waits for the reply. */
  isAbandoned = false;
  readonly #all: OutboundRequests;
  readonly #payload: Uint8Array;
  readonly #isTransfer: boolean;
  readonly #idleMs: number;
  readonly #totalMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #done: (result: Result<Uint8Array, RpcError>) => void;
  readonly #startedMs = performance.now();
  #sent: { readonly id: number; readonly writing: FrameWrite } | undefined;
  #isWritten = false;
  #isSettled = false;
  #timer: ReturnType<typeof setTimeout>;
  /** Bytes a data channel has accepted and not sent, at the last poll. */
  #unsent = Infinity;

  constructor(
    all: OutboundRequests,
    payload: Uint8Array,
    timeout: RequestTimeout,
    signal: AbortSignal | undefined,
    done: (result: Result<Uint8Array, RpcError>) => void,
  ) {
    this.#all = all;
    this.#payload = payload;
    this.#isTransfer = typeof timeout !== 'number';
    this.#idleMs = typeof timeout === 'number' ? timeout : timeout.idleMs;
    this.#totalMs = typeof timeout === 'number' ? timeout : timeout.totalMs;
    this.#signal = signal;
    this.#done = done;
    this.#timer = setTimeout(this.#check, Math.min(this.#idleMs, this.#totalMs));
    signal?.addEventListener('abort', this.#abandon, { once: true });
  }

  begin(): void {
    this.#sent = this.#all.send(this, this.#payload);
    this.#sent.writing.done.then(
      () => {
        this.#isWritten = true;
      },
      () => this.#all.abort('a request could not be sent'),
    );
  }

  settle(result: Result<Uint8Array, RpcError>): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#abandon);
    this.#all.dequeue(this);
    this.#done(result);
  }

  fail(kind: 'unreachable' | 'timeout'): void {
    const { link, counters } = this.#all;
    const sinceMs = Math.max(this.#startedMs, performance.now() - this.#idleMs);
    const isMoving = this.#latestProgressMs() > sinceMs;
    // A stream that ends is an error of its other end, which may have died. Only if our own bytes were
    // still being sent, slowly, is the link the reason.
    const isBusy =
      kind === 'timeout'
        ? isMoving || link.wasSlowSince(sinceMs)
        : link.wasSlowSince(sinceMs, counters) || (isMoving && this.#isWritingSlowly());
    this.settle(err(isBusy ? { kind, congested: true } : { kind }));
  }

  readonly #abandon = (): void => {
    this.fail('timeout');
    const { inFlight } = this.#all;
    if (this.#sent?.writing.drop() === true) inFlight.delete(this.#sent.id);
    this.isAbandoned = true;
    const isInFlight = this.#sent !== undefined && inFlight.has(this.#sent.id);
    this.#all.onAbandoned(this.#isTransfer && isInFlight);
  };

  readonly #check = (): void => {
    const nowMs = performance.now();
    const left = this.#all.stream.channel?.bufferedAmount ?? 0;
    if (this.#isTransfer && left > 0 && nowMs - this.#latestProgressMs() >= this.#idleMs) {
      if (left < this.#unsent) this.#all.progressMs = nowMs;
      this.#unsent = left;
    }
    const latestEndMs = this.#startedMs + this.#totalMs;
    const endMs = this.#isTransfer
      ? Math.min(this.#latestProgressMs() + this.#idleMs, latestEndMs)
      : latestEndMs;
    if (nowMs >= endMs) this.#abandon();
    else this.#timer = setTimeout(this.#check, endMs - nowMs);
  };

  #latestProgressMs(): number {
    const { progressMs, receivedMs } = this.#all;
    return Math.max(this.#startedMs, this.#isTransfer ? progressMs : receivedMs);
  }

  #isWritingSlowly(): boolean {
    const isWriting = this.#sent !== undefined && !this.#isWritten;
    return this.#isTransfer && isWriting && performance.now() - this.#startedMs > slowFrameMs;
  }
}

const toError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));
