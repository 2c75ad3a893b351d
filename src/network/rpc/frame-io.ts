/** Writes and reads frames on one byte stream, and measures their progress. */
import { createFrameReader, encodeFrame, type Frame } from './frame.ts';
import type { StreamAccount } from '../limits/held-bytes.ts';
import { slowFrameMs, type LinkMonitor } from './link-monitor.ts';

/** The part of a libp2p stream in use. */
export interface ByteStream {
  /** @returns false when more should be sent only after the next `drain`. */
  send(bytes: Uint8Array): boolean;
  /** Bytes given to `send` that the other end's window does not admit yet. */
  readonly writeBufferLength?: number;
  readonly writableNeedsDrain?: boolean;
  close(): Promise<void>;
  abort(error: Error): void;
  addEventListener(type: 'message', listener: (event: { data: Chunk }) => void): void;
  addEventListener(type: 'drain' | 'close' | 'remoteCloseWrite', listener: () => void): void;
  /** The data channel of a WebRTC stream: it accepts whole frames and sends them gradually. */
  readonly channel?: { readonly bufferedAmount: number };
}
type Chunk = Uint8Array | { subarray(): Uint8Array };

export interface RpcCounters {
  bytesIn: number;
  bytesOut: number;
}

/** From the first byte of a frame to its last: 1 MiB at 20 kB/s. */
export const frameTimeoutMs = 60_000;
/** Until a stream accepts bytes again. */
const drainTimeoutMs = 60_000;
/** For a whole frame: the peer may read slowly, but not for ever. */
const writeTimeoutMs = 120_000;
/** A frame is written in parts of one yamux window each, so that progress is visible. */
const partBytes = 256 * 1024;

export interface FrameWrite {
  /** Resolves when the stream has taken the last byte, or when the frame was dropped. */
  readonly done: Promise<void>;
  /** @returns false when the frame has begun: it is written to its end, or the stream ends. */
  readonly drop: () => boolean;
}

/** @param onProgress called whenever the stream has taken bytes */
export function createFrameWriter(
  stream: ByteStream,
  counters: RpcCounters,
  account: StreamAccount,
  link: LinkMonitor,
  onProgress: () => void = () => undefined,
): (frame: Frame) => FrameWrite {
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
  const waitForDrain = (untilMs: number): Promise<void> =>
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

  /** Resolves once all is sent: a drain may free one byte, and waiting bytes must not add up uncounted. */
  const drained = async (waiting: number, untilMs: number): Promise<void> => {
    let left = waiting;
    do {
      await waitForDrain(untilMs);
      onProgress();
      const now = stream.writeBufferLength ?? 0;
      account.sending(waiting, Math.max(0, left - now));
      left = now;
    } while (left > 0 || stream.writableNeedsDrain === true);
  };

  const writeFrame = async (frame: Frame): Promise<void> => {
    const bytes = encodeFrame(frame);
    const startedMs = performance.now();
    for (let at = 0; at < bytes.length; at += partBytes) {
      const part = bytes.subarray(at, at + partBytes);
      counters.bytesOut += part.length;
      if (!stream.send(part)) {
        account.sending(part.length, 0);
        await drained(part.length, startedMs + writeTimeoutMs);
      }
      onProgress();
      if (performance.now() - startedMs > slowFrameMs) link.recordSlowFrame(counters);
    }
  };

  return (frame) => {
    let started = false;
    let dropped = false;
    const done = tail.then(async () => {
      if (dropped) return;
      started = true;
      await writeFrame(frame).finally(() => account.sending(0, 0));
    });
    tail = done.catch(() => undefined);
    return {
      done,
      drop: () => {
        dropped = !started;
        return dropped;
      },
    };
  };
}

/** The poll interval of a data channel: it only reports that it is empty. */
const channelPollMs = 500;

/**
 * Counts the bytes a data channel has accepted and not sent: it accepts whole replies, even for a peer that
 * does not read. @returns a function to call after each write.
 */
export function trackChannelBuffer(
  stream: ByteStream,
  account: StreamAccount,
  fail: (reason: string) => void,
): () => void {
  let counted = 0;
  let lastProgressMs = 0;
  let closed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  stream.addEventListener('close', () => {
    closed = true;
    clearTimeout(timer);
  });
  const poll = (): void => {
    clearTimeout(timer);
    const left = stream.channel?.bufferedAmount ?? 0;
    if (closed || (left === 0 && counted === 0)) return;
    const taken = Math.max(0, counted - left);
    if (left !== counted) lastProgressMs = performance.now();
    if (left > counted && !account.hold(left - counted)) {
      return fail('more bytes than this node holds for a peer');
    }
    account.free(taken);
    account.sending(left, taken);
    counted = left;
    if (left === 0) return;
    if (performance.now() - lastProgressMs >= drainTimeoutMs)
      return fail('the other end takes no bytes');
    timer = setTimeout(poll, channelPollMs);
  };
  return poll;
}

export interface FrameReadHandlers {
  /** Called on each arrival of bytes. */
  readonly onBytes?: () => void;
  /** Called when this end gives up the stream. */
  readonly end?: () => void;
  /** Called before the stream ends for bytes that none of our programs sends. */
  readonly onMalformed?: () => void;
}

/** @param onFrame returns false when it has ended the stream: remaining bytes are dropped. */
export function readFrames(
  stream: ByteStream,
  counters: RpcCounters,
  account: StreamAccount,
  link: LinkMonitor,
  onFrame: (frame: Frame) => boolean,
  { onBytes, end, onMalformed }: FrameReadHandlers,
): void {
  const reader = createFrameReader();
  let broken = false;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  let startedMs: number | undefined;
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
    onBytes?.();
    if (performance.now() - (startedMs ?? Infinity) > slowFrameMs) link.recordSlowFrame(counters);
    const frames = reader.push(bytes);
    if (frames === undefined) {
      onMalformed?.();
      return fail('malformed frame');
    }
    if (frames.length > 0 || !reader.isPartial()) {
      clearTimeout(deadline);
      deadline = undefined;
      startedMs = undefined;
    }
    // Freed here, because the requests of these frames are held next.
    if (!account.receiving(reader.bufferedBytes(), bytes.length)) {
      return fail('more bytes than this node holds for a peer');
    }
    for (const frame of frames) {
      if (!onFrame(frame)) return stop();
    }
    if (!broken && reader.isPartial()) {
      startedMs ??= performance.now();
      deadline ??= setTimeout(() => fail('a frame took too long'), frameTimeoutMs);
    }
  });
}
