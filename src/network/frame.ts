/** Frames of wire.md: u32 length (big-endian), then strict CBOR; ≤ 1 MiB + 16 KiB. */
import { concat } from '#core/codec/bytes.ts';
import { decodeCborList, encodeCbor } from '#core/codec/cbor.ts';
import { bytesUpTo, intBetween } from '#core/codec/shape.ts';

export const maxFrameBytes = 1024 * 1024 + 16 * 1024;
/** What a request or reply may take of a frame: the rest is its number and kind. */
export const maxPayloadBytes = maxFrameBytes - 64;

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
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, body.length);
  return concat(head, body);
}

function decodeFrame(body: Uint8Array): Frame | undefined {
  const decoded = decodeCborList(body);
  if (!decoded.ok || decoded.value.length !== 3) return undefined;
  const id = idShape(decoded.value[0]);
  const kind: unknown = decoded.value[1];
  const payload = payloadShape(decoded.value[2]);
  if (id === undefined || payload === undefined || (kind !== 0 && kind !== 1)) return undefined;
  // A number in a longer form (the library takes 1.0 for 1) shows in the length.
  const sizeOfLength =
    payload.length < 24 ? 1 : payload.length < 256 ? 2 : payload.length < 65_536 ? 3 : 5;
  const plain = encodeCbor([id, kind]).length + sizeOfLength + payload.length;
  if (body.length !== plain) return undefined;
  return { id, kind: kind === 0 ? 'request' : 'reply', payload };
}

/**
 * Cuts a byte stream into frames. It never holds more than one frame and the chunk that completed
 * it; after the first malformed byte it yields `undefined` and must be thrown away.
 */
export function createFrameReader(): {
  readonly push: (bytes: Uint8Array) => readonly Frame[] | undefined;
} {
  const parts: Uint8Array[] = [];
  let held = 0;
  let wanted = -1;

  const take = (length: number): Uint8Array => {
    const whole = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const part = parts[0] as Uint8Array;
      const used = Math.min(part.length, length - at);
      whole.set(part.subarray(0, used), at);
      at += used;
      if (used === part.length) parts.shift();
      else parts[0] = part.subarray(used);
    }
    held -= length;
    return whole;
  };

  return {
    push: (bytes) => {
      if (bytes.length > 0) parts.push(bytes);
      held += bytes.length;
      const frames: Frame[] = [];
      for (;;) {
        if (wanted < 0) {
          if (held < 4) return frames;
          wanted = new DataView(take(4).buffer).getUint32(0);
          if (wanted > maxFrameBytes) return undefined;
        }
        if (held < wanted) return frames;
        const frame = decodeFrame(take(wanted));
        if (frame === undefined) return undefined;
        frames.push(frame);
        wanted = -1;
      }
    },
  };
}
