/** Writes and reads frames on one byte stream, and notices when their bytes move. */
import { createFrameReader, encodeFrame, type Frame } from './frame.ts';
import type { StreamAccount } from './held-bytes.ts';
import { slowFrameMs, type Link } from './link.ts';

/** The part of a libp2p stream that is used here. */
export interface ByteStream {
  /** @returns false when more should be sent only after the next `drain`. */
  send(bytes: Uint8Array): boolean;
  /** What `send` was given and the other end has not allowed to be sent yet. */
  readonly writeBufferLength?: number;
  readonly writableNeedsDrain?: boolean;
  close(): Promise<void>;
  abort(error: Error): void;
  addEventListener(type: 'message', listener: (event: { data: Chunk }) => void): void;
  addEventListener(type: 'drain' | 'close' | 'remoteCloseWrite', listener: () => void): void;
  /** The data channel behind a WebRTC stream: it takes whole frames and sends them by and by. */
  readonly channel?: { readonly bufferedAmount: number };
}
type Chunk = Uint8Array | { subarray(): Uint8Array };

export interface RpcCounters {
  bytesIn: number;
  bytesOut: number;
}

/** From the first byte of a frame to its last: a mebibyte at 20 kB/s. */
export const frameTimeoutMs = 60_000;
/** Until a stream takes more bytes again. */
const drainTimeoutMs = 60_000;
/** For a whole frame: the other end may take it slowly, but not for ever. */
const writeTimeoutMs = 120_000;
/** A frame is handed to the stream in parts, a window of yamux each, so that its bytes are seen to move. */
const partBytes = 256 * 1024;

export interface Writing {
  /** Resolves when the stream has taken the last byte, or when the frame was dropped. */
  readonly done: Promise<void>;
  /** @returns false when the frame has begun: it is written to its end, or the stream ends. */
  readonly drop: () => boolean;
}

/** @param moved called whenever the stream has taken bytes */
export function createWriter(
  stream: ByteStream,
  counters: RpcCounters,
  account: StreamAccount,
  link: Link,
  moved: () => void = () => undefined,
): (frame: Frame) => Writing {
  // One writer at a time: frames must not interleave.
  let tail: Promise<void> = Promise.resolve();
  let closed = false;
  let wake: (() => void) | undefined;
  stream.addEventListener('drain', () => wake?.());
  stream.addEventListener('close', () => {
    closed = true;
    wake?.();
  });

  // Not the stream's own onDrain(): after the first drain that one never waits again.
  const woken = (untilMs: number): Promise<void> =>
    new Promise((go, fail) => {
      if (closed) return fail(new Error('closed'));
      const ms = Math.min(drainTimeoutMs, untilMs - performance.now());
      const timer = setTimeout(() => fail(new Error('the other end takes no bytes')), ms);
      wake = () => {
        wake = undefined;
        clearTimeout(timer);
        if (closed) fail(new Error('closed'));
        else go();
      };
    });

  /** @returns once all is sent: a drain may be for a byte, and what waits must not add up uncounted. */
  const drained = async (waiting: number, untilMs: number): Promise<void> => {
    let left = waiting;
    do {
      await woken(untilMs);
      moved();
      const now = stream.writeBufferLength ?? 0;
      account.sending(waiting, Math.max(0, left - now));
      left = now;
    } while (left > 0 || stream.writableNeedsDrain === true);
  };

  const writeFrame = async (frame: Frame): Promise<void> => {
    const bytes = encodeFrame(frame);
    const begunMs = performance.now();
    for (let at = 0; at < bytes.length; at += partBytes) {
      const part = bytes.subarray(at, at + partBytes);
      counters.bytesOut += part.length;
      if (!stream.send(part)) {
        account.sending(part.length, 0);
        await drained(part.length, begunMs + writeTimeoutMs);
      }
      moved();
      if (performance.now() - begunMs > slowFrameMs) link.noteSlow(counters);
    }
  };

  return (frame) => {
    let begun = false;
    let dropped = false;
    const done = tail.then(async () => {
      if (dropped) return;
      begun = true;
      await writeFrame(frame).finally(() => account.sending(0, 0));
    });
    tail = done.catch(() => undefined);
    return {
      done,
      drop: () => {
        dropped = !begun;
        return dropped;
      },
    };
  };
}

/** How often a data channel is looked at; it only reports that it is empty. */
const lookEveryMs = 500;

/**
 * Counts what a data channel has taken and not sent: it takes whole answers, also for a peer that
 * does not read. @returns to be called when it was given something.
 */
export function countChannel(
  stream: ByteStream,
  account: StreamAccount,
  fail: (reason: string) => void,
): () => void {
  let counted = 0;
  let movedMs = 0;
  let closed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  stream.addEventListener('close', () => {
    closed = true;
    clearTimeout(timer);
  });
  const look = (): void => {
    clearTimeout(timer);
    const left = stream.channel?.bufferedAmount ?? 0;
    if (closed || (left === 0 && counted === 0)) return;
    const taken = Math.max(0, counted - left);
    if (left !== counted) movedMs = performance.now();
    if (left > counted && !account.hold(left - counted)) {
      return fail('more bytes than this node holds for a peer');
    }
    account.free(taken);
    account.sending(left, taken);
    counted = left;
    if (left === 0) return;
    if (performance.now() - movedMs >= drainTimeoutMs) return fail('the other end takes no bytes');
    timer = setTimeout(look, lookEveryMs);
  };
  return look;
}

export interface Reading {
  /** Called whenever bytes have arrived. */
  readonly arrived?: () => void;
  /** Called when this end has given up the stream. */
  readonly end?: () => void;
  /** Called before the stream ends for bytes that no program of ours sends. */
  readonly malformed?: () => void;
}

/** @param take returns false when it has ended the stream: what else arrived is thrown away. */
export function readFrames(
  stream: ByteStream,
  counters: RpcCounters,
  account: StreamAccount,
  link: Link,
  take: (frame: Frame) => boolean,
  { arrived, end, malformed }: Reading,
): void {
  const reader = createFrameReader();
  let broken = false;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  let begunMs: number | undefined;
  const stop = (): void => {
    broken = true;
    clearTimeout(deadline);
    account.receiving(0, 0);
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
    arrived?.();
    if (performance.now() - (begunMs ?? Infinity) > slowFrameMs) link.noteSlow(counters);
    const frames = reader.push(bytes);
    if (frames === undefined) {
      malformed?.();
      return fail('malformed frame');
    }
    if (frames.length > 0 || !reader.unfinished()) {
      clearTimeout(deadline);
      deadline = undefined;
      begunMs = undefined;
    }
    // Freed before the requests of these frames are held in its place.
    if (!account.receiving(reader.held(), bytes.length)) {
      return fail('more bytes than this node holds for a peer');
    }
    for (const frame of frames) {
      if (!take(frame)) return stop();
    }
    if (!broken && reader.unfinished()) {
      begunMs ??= performance.now();
      deadline ??= setTimeout(() => fail('a frame took too long'), frameTimeoutMs);
    }
  });
}
