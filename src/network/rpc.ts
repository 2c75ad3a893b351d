/**
 * Requests and replies over one long-lived stream per peer and protocol, matched by number.
 *
 * WebRTC gives no read back-pressure, so flow control lives here: at most
 * {@link maxInFlight} requests of ≤ 1 MiB wait for an answer on one stream; an asker that sends
 * more is cut off, and the bytes held for one peer stay bounded. A request that was given up keeps
 * its place until its late answer has come: the other end may still be working on it.
 */
import { err, ok, type Result } from '#core/result.ts';
import { maxPayloadBytes, type Frame } from './frame.ts';
import {
  countChannel,
  createWriter,
  readFrames,
  type ByteStream,
  type RpcCounters,
  type Writing,
} from './frame-stream.ts';
import type { StreamAccount } from './held-bytes.ts';
import { slowFrameMs, watchLink, type Link } from './link.ts';

export { frameTimeoutMs, type ByteStream, type RpcCounters } from './frame-stream.ts';

export const maxInFlight = 8;
/** With those that were given up; below {@link maxServed}, as an answer may cross with a request. */
export const maxUnanswered = 12;
/** Twice the window is a lie, not a race. */
const maxServed = 2 * maxInFlight;
/** When given-up requests fill the places and nothing has come for so long, the stream is given up. */
const silentStreamMs = 60_000;

/**
 * How long an answer is waited for: a time in all, or for large pieces `idleMs` during which no byte
 * moves on the stream, and `totalMs` in all.
 */
export type Patience = number | { readonly idleMs: number; readonly totalMs: number };

/** `congested`: the link was busy with bytes of ours, which tells nothing about the other end. */
export type RpcError =
  | { readonly kind: 'unreachable' | 'timeout'; readonly congested?: true }
  | { readonly kind: 'tooLarge' };

export const isCongested = (error: { readonly kind: string; readonly congested?: true }): boolean =>
  error.congested === true;

/** For streams whose other end was chosen by us. */
const noAccount: StreamAccount = {
  hold: () => true,
  free: () => undefined,
  receiving: () => true,
  sending: () => undefined,
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
  const link = watchLink();
  const write = createWriter(stream, counters, account, link);
  const fail = (reason: string): void => stream.abort(new Error(reason));
  const countSent = countChannel(stream, account, fail);
  const closeWhenDone = (): void => {
    if (!asking && serving === 0) stream.close().catch(() => fail('closed'));
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
      countSent();
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
  readFrames(stream, counters, account, link, take, { malformed: invalid });
  stream.addEventListener('close', account.close);
  stream.addEventListener('remoteCloseWrite', () => {
    asking = false;
    closeWhenDone();
  });
}

export interface RpcClient {
  readonly request: (
    payload: Uint8Array,
    patience: Patience,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly inFlight: () => number;
  readonly closed: () => boolean;
  readonly close: () => void;
}

type Settle = (result: Result<Uint8Array, RpcError>) => void;

/** One request, from its call until its place is free again. */
interface Asked {
  /** Takes a place and begins to be sent. */
  readonly begin: () => void;
  readonly fail: (kind: 'unreachable' | 'timeout') => void;
  readonly answered: (payload: Uint8Array) => void;
  /** Nobody waits for its answer any more. */
  isGivenUp: boolean;
}

/**
 * Asks over one outbound stream; requests above the window wait their turn, and that counts toward
 * their time.
 * @param onEnd called once, when nothing more can be asked.
 */
export function createRpcClient(
  stream: ByteStream,
  counters: RpcCounters = { bytesIn: 0, bytesOut: 0 },
  onEnd: () => void = () => undefined,
  link: Link = watchLink(),
): RpcClient {
  const places = new Map<number, Asked>();
  /** What waits for a place in the window, in order. */
  const turns = new Set<Asked>();
  let nextId = 1;
  let closed = false;
  let movedMs = -Infinity;
  let arrivedMs = performance.now();

  const end = (): void => {
    if (closed) return;
    closed = true;
    for (const asked of [...places.values(), ...turns]) asked.fail('unreachable');
    onEnd();
  };
  const abort = (reason: string): void => {
    stream.abort(new Error(reason));
    end();
  };
  stream.addEventListener('close', end);
  stream.addEventListener('remoteCloseWrite', end);
  const write = createWriter(stream, counters, noAccount, link, () => {
    movedMs = performance.now();
  });
  const take = (frame: Frame): boolean => {
    const asked = frame.kind === 'reply' ? places.get(frame.id) : undefined;
    if (asked === undefined) {
      abort('an answer to no request');
      return false;
    }
    places.delete(frame.id);
    asked.answered(frame.payload);
    startNext();
    return true;
  };
  const arrived = (): void => {
    movedMs = arrivedMs = performance.now();
  };
  readFrames(stream, counters, noAccount, link, take, { arrived, end });

  const living = (): number => {
    let count = 0;
    for (const { isGivenUp } of places.values()) if (!isGivenUp) count += 1;
    return count;
  };
  const startNext = (): void => {
    for (const asked of turns) {
      if (closed || living() >= maxInFlight || places.size >= maxUnanswered) return;
      turns.delete(asked);
      asked.begin();
    }
  };

  const request = (
    payload: Uint8Array,
    patience: Patience,
    signal: AbortSignal | undefined,
    done: Settle,
  ): void => {
    const isTransfer = typeof patience !== 'number';
    const { idleMs, totalMs } = isTransfer ? patience : { idleMs: patience, totalMs: patience };
    const startedMs = performance.now();
    let id: number | undefined;
    let writing: Writing | undefined;
    let isWritten = false;
    let isSettled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    /** What a data channel has taken and not sent, as far as it was looked at. */
    let unsent = Infinity;

    const settle: Settle = (result) => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      turns.delete(asked);
      done(result);
    };
    const isWritingSlowly = (): boolean =>
      isTransfer &&
      writing !== undefined &&
      !isWritten &&
      performance.now() - startedMs > slowFrameMs;
    const lastMovedMs = (): number => {
      const moves = isTransfer ? movedMs : arrivedMs;
      return Math.max(startedMs, moves);
    };
    const fail = (kind: 'unreachable' | 'timeout'): void => {
      const sinceMs = Math.max(startedMs, performance.now() - idleMs);
      const isMoving = lastMovedMs() > sinceMs;
      // A stream that ends has ended, whatever its other end sent before: it may have died. Only if our own
      // bytes were still on their way, slowly, is the link the reason.
      const isBusy =
        kind === 'timeout'
          ? isMoving || link.slowSince(sinceMs)
          : link.slowSince(sinceMs, counters) || (isMoving && isWritingSlowly());
      settle(err(isBusy ? { kind, congested: true } : { kind }));
    };
    const giveUp = (): void => {
      fail('timeout');
      if (id !== undefined && writing?.drop() === true) places.delete(id);
      asked.isGivenUp = true;
      if (closed) return;
      const isAlone = living() === 0;
      // What is still on its way would fill the link in vain.
      if (isTransfer && isAlone && id !== undefined && places.has(id)) return abort('given up');
      const isFull = places.size >= maxUnanswered;
      if (isFull && performance.now() - arrivedMs >= silentStreamMs) return abort('no answers');
      startNext();
    };
    const check = (): void => {
      const nowMs = performance.now();
      const left = stream.channel?.bufferedAmount ?? 0;
      if (isTransfer && left > 0 && nowMs - lastMovedMs() >= idleMs) {
        if (left < unsent) movedMs = nowMs;
        unsent = left;
      }
      const endMs = isTransfer
        ? Math.min(lastMovedMs() + idleMs, startedMs + totalMs)
        : startedMs + totalMs;
      if (nowMs >= endMs) giveUp();
      else timer = setTimeout(check, endMs - nowMs);
    };
    const asked: Asked = {
      isGivenUp: false,
      begin: () => {
        id = nextId++;
        places.set(id, asked);
        writing = write({ id, kind: 'request', payload });
        writing.done.then(
          () => {
            isWritten = true;
          },
          () => abort('a request could not be sent'),
        );
      },
      fail,
      answered: (answer) => settle(ok(answer)),
    };
    timer = setTimeout(check, Math.min(idleMs, totalMs));
    signal?.addEventListener('abort', giveUp, { once: true });
    turns.add(asked);
    startNext();
  };

  return {
    request: async (payload, patience, signal) => {
      if (payload.length > maxPayloadBytes) return err({ kind: 'tooLarge' });
      if (closed) return err({ kind: 'unreachable' });
      if (signal?.aborted === true) return err({ kind: 'timeout' });
      return new Promise((done) => request(payload, patience, signal, done));
    },
    inFlight: () => places.size,
    closed: () => closed,
    close: () => {
      end();
      void stream.close().catch(() => stream.abort(new Error('closed')));
    },
  };
}

const toError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));
