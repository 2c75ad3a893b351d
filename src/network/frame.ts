/** Frames of wire.md: u32 length (big-endian), then strict CBOR; ≤ 1 MiB + 16 KiB. */
import { concat } from '#core/codec/bytes.ts';
import { decodeCborList, encodeCbor } from '#core/codec/cbor.ts';
import { bytesUpTo, intBetween } from '#core/codec/shape.ts';

export const maxFrameBytes = 1024 * 1024 + 16 * 1024;
/** What a request or reply may take of a frame: the rest is its number and kind. */
export const maxPayloadBytes = maxFrameBytes - 64;
/** The list, its number, its kind, its payload. */
const frameItems = 4;
const headBytes = 4;
/**
 * Pieces in which a frame may arrive: so many, and one more for each {@link leastPieceBytes} of it. Our
 * transports carry 16 KiB and more at a time, and each piece costs an answer of the stream's own
 * (a window update), whatever is in it.
 */
const maxLoosePieces = 16;
const leastPieceBytes = 256;
/** What is allocated for a frame of which little has arrived. */
const firstBytes = 1024;

export interface Frame {
  /** Chosen by the asker; the answer repeats it. */
  readonly id: number;
  readonly kind: 'request' | 'reply';
  readonly payload: Uint8Array;
}

const idShape = intBetween(1, 2 ** 48);
const payloadShape = bytesUpTo(maxPayloadBytes);

export function encodeFrame(frame: Frame): Uint8Array {
  const body = encodeCbor([frame.id, frame.kind === 'request' ? 0 : 1, frame.payload]);
  const head = new Uint8Array(headBytes);
  new DataView(head.buffer).setUint32(0, body.length);
  return concat(head, body);
}

function decodeFrame(body: Uint8Array): Frame | undefined {
  const decoded = decodeCborList(body, frameItems);
  if (!decoded.ok || decoded.value.length !== 3) return undefined;
  const id = idShape(decoded.value[0]);
  const kind: unknown = decoded.value[1];
  const payload = payloadShape(decoded.value[2]);
  if (id === undefined || payload === undefined || (kind !== 0 && kind !== 1)) return undefined;
  return { id, kind: kind === 0 ? 'request' : 'reply', payload };
}

export interface FrameReader {
  /** @returns the frames these bytes completed; undefined after the first malformed byte. */
  readonly push: (bytes: Uint8Array) => readonly Frame[] | undefined;
  /** Memory taken by a frame that is not complete; at most twice what arrived of it, and 1 KiB. */
  readonly held: () => number;
  /** A frame has begun and is not complete. */
  readonly unfinished: () => boolean;
}

/**
 * Cuts a byte stream into frames. It keeps no piece that it was given: each is copied once into the
 * one buffer of its frame, which grows with what arrives and never with what was announced. After
 * the first malformed byte it must be thrown away.
 */
export function createFrameReader(): FrameReader {
  const head = new Uint8Array(headBytes);
  let headFilled = 0;
  /** Length of the frame that has begun; negative while its head is not complete. */
  let wanted = -1;
  let buffer = new Uint8Array(0);
  let filled = 0;
  /** In which the frame that has begun arrived so far. */
  let pieces = 0;

  const keep = (part: Uint8Array): void => {
    const needed = filled + part.length;
    if (needed > buffer.length) {
      const wider = new Uint8Array(
        Math.min(wanted, Math.max(needed, 2 * buffer.length, firstBytes)),
      );
      wider.set(buffer.subarray(0, filled));
      buffer = wider;
    }
    buffer.set(part, filled);
    filled = needed;
  };

  const reset = (): void => {
    headFilled = 0;
    wanted = -1;
    filled = 0;
    buffer = new Uint8Array(0);
    pieces = 0;
  };

  return {
    held: () => buffer.length,
    unfinished: () => headFilled > 0,
    push: (bytes) => {
      const frames: Frame[] = [];
      let at = 0;
      pieces += 1;
      if (pieces > maxLoosePieces + filled / leastPieceBytes) return undefined;
      for (;;) {
        if (wanted < 0) {
          const part = bytes.subarray(at, at + headBytes - headFilled);
          head.set(part, headFilled);
          headFilled += part.length;
          at += part.length;
          if (headFilled < headBytes) return frames;
          wanted = new DataView(head.buffer).getUint32(0);
          if (wanted > maxFrameBytes) return undefined;
        }
        const part = bytes.subarray(at, at + wanted - filled);
        at += part.length;
        const isWhole = filled === 0 && part.length === wanted;
        if (!isWhole) keep(part);
        if (!isWhole && filled < wanted) return frames;
        const frame = decodeFrame(isWhole ? part : buffer);
        if (frame === undefined) return undefined;
        frames.push(frame);
        reset();
        if (at < bytes.length) pieces = 1;
      }
    },
  };
}
