/** Frames of wire.md: u32 length (big-endian), then strict CBOR; ≤ 1 MiB + 16 KiB. */
import { concat } from '#core/codec/bytes.ts';
import { decodeCborList, encodeCbor } from '#core/codec/cbor.ts';
import { bytesUpTo, intBetween } from '#core/codec/shape.ts';

export const maxFrameBytes = 1024 * 1024 + 16 * 1024;
/** The largest request or reply; the rest of a frame is its number and kind. */
export const maxPayloadBytes = maxFrameBytes - 64;
/** The list: number, kind, payload. */
const frameItems = 4;
const headBytes = 4;
/**
 * Pieces in which a frame may arrive: this many, plus one per {@link leastPieceBytes} of it. Our transports
 * carry at least 16 KiB at a time, and each piece costs a window update, whatever its size.
 */
const maxLoosePieces = 16;
const leastPieceBytes = 256;
/** Initial allocation for a frame. */
const firstBytes = 1024;

export interface Frame {
  /** Chosen by the requester; the reply repeats it. */
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
  /** Memory of the partial frame; at most twice its received bytes, and 1 KiB. */
  readonly bufferedBytes: () => number;
  /** A frame has begun and is not complete. */
  readonly isPartial: () => boolean;
}

/**
 * Cuts a byte stream into frames. Each piece is copied once into the buffer of its frame, which grows with
 * the received bytes, never with the announced length. After the first malformed byte the reader must be
 * discarded.
 */
export function createFrameReader(): FrameReader {
  const head = new Uint8Array(headBytes);
  let headFilled = 0;
  /** Length of the current frame; negative while its head is incomplete. */
  let frameLength = -1;
  let buffer = new Uint8Array(0);
  let filled = 0;
  /** Pieces of the current frame so far. */
  let pieces = 0;

  const append = (part: Uint8Array): void => {
    const needed = filled + part.length;
    if (needed > buffer.length) {
      const wider = new Uint8Array(
        Math.min(frameLength, Math.max(needed, 2 * buffer.length, firstBytes)),
      );
      wider.set(buffer.subarray(0, filled));
      buffer = wider;
    }
    buffer.set(part, filled);
    filled = needed;
  };

  const reset = (): void => {
    headFilled = 0;
    frameLength = -1;
    filled = 0;
    buffer = new Uint8Array(0);
    pieces = 0;
  };

  return {
    bufferedBytes: () => buffer.length,
    isPartial: () => headFilled > 0,
    push: (bytes) => {
      const frames: Frame[] = [];
      let at = 0;
      pieces += 1;
      if (pieces > maxLoosePieces + filled / leastPieceBytes) return undefined;
      for (;;) {
        if (frameLength < 0) {
          const part = bytes.subarray(at, at + headBytes - headFilled);
          head.set(part, headFilled);
          headFilled += part.length;
          at += part.length;
          if (headFilled < headBytes) return frames;
          frameLength = new DataView(head.buffer).getUint32(0);
          if (frameLength > maxFrameBytes) return undefined;
        }
        const part = bytes.subarray(at, at + frameLength - filled);
        at += part.length;
        const isWhole = filled === 0 && part.length === frameLength;
        if (!isWhole) append(part);
        if (!isWhole && filled < frameLength) return frames;
        const frame = decodeFrame(isWhole ? part : buffer);
        if (frame === undefined) return undefined;
        frames.push(frame);
        reset();
        if (at < bytes.length) pieces = 1;
      }
    },
  };
}
