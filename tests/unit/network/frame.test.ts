/** Goal: frames survive any cutting of the stream, and no stream makes the reader buffer too much. */
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { concat } from '#core/codec/bytes.ts';
import {
  createFrameReader,
  encodeFrame,
  maxFrameBytes,
  maxPayloadBytes,
  type Frame,
} from '#network/rpc/frame.ts';

const frame: fc.Arbitrary<Frame> = fc.record({
  id: fc.integer({ min: 1, max: 2 ** 40 }),
  kind: fc.constantFrom('request', 'reply'),
  payload: fc.uint8Array({ maxLength: 300 }),
});

test('frames are read as written, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      // Small pieces between larger ones: only a run of small ones ends the stream (maxLoosePieces).
      fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 50, max: 99 })), {
        minLength: 1,
      }),
      (frames, pairs) => {
        const cuts = pairs.flat();
        const stream = concat(...frames.map(encodeFrame));
        const reader = createFrameReader();
        const got: Frame[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const length = cuts[i % cuts.length] ?? 1;
          got.push(...(reader.push(stream.slice(at, at + length)) ?? []));
          at += length;
        }
        expect(got).toEqual(frames);
      },
    ),
  );
});

test('a frame longer than the limit → the stream ends at its fourth byte', () => {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, maxFrameBytes + 1);
  expect(createFrameReader().push(head)).toBeUndefined();
});

test('a number in a non-minimal encoding is malformed', () => {
  const frameOf = (hex: string): Uint8Array => {
    const body = Buffer.from(hex, 'hex');
    return concat(new Uint8Array([0, 0, 0, body.length]), body);
  };
  expect(createFrameReader().push(frameOf('83010041aa'))).toHaveLength(1);
  expect(createFrameReader().push(frameOf('83f93c000041aa'))).toBeUndefined();
  expect(createFrameReader().push(frameOf('8301f9000041aa'))).toBeUndefined();
});

test('the largest payload fits one frame', () => {
  const bytes = encodeFrame({
    id: 2 ** 40,
    kind: 'reply',
    payload: new Uint8Array(maxPayloadBytes),
  });
  expect(bytes.length).toBeLessThanOrEqual(maxFrameBytes + 4);
  expect(createFrameReader().push(bytes)?.[0]?.payload.length).toBe(maxPayloadBytes);
});

test('random bytes never throw: they give a frame, a partial frame, or the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
      const frames = createFrameReader().push(noise);
      if (frames !== undefined) expect(frames.length).toBeLessThanOrEqual(10);
    }),
    { numRuns: 2_000 },
  );
});

test('a frame in the smallest accepted pieces copies each byte at most twice, and buffers no more than was received', () => {
  const frame = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(64 * 1024) });
  const reader = createFrameReader();
  const copied = vi.spyOn(Uint8Array.prototype, 'set');
  let got: readonly Frame[] | undefined;
  let moved = 0;
  // A shift moves the whole rest of a long array.
  const shift = Array.prototype.shift;
  vi.spyOn(Array.prototype, 'shift').mockImplementation(function (this: unknown[]) {
    moved += this.length;
    return shift.call(this) as unknown;
  });
  for (let at = 0; at < frame.length; at += 256) {
    got = reader.push(frame.subarray(at, at + 256));
    for (const [bytes] of copied.mock.calls) moved += bytes.length;
    copied.mockClear();
    expect(reader.bufferedBytes()).toBeLessThanOrEqual(2 * (at + 256) + 1_024);
  }
  vi.restoreAllMocks();
  expect(got).toHaveLength(1);
  expect(reader.bufferedBytes()).toBe(0);
  expect(moved).toBeLessThan(4 * frame.length);
});

test.each([1, 7, 64])(
  'a long frame in pieces of %i bytes is refused early, because each piece costs a window update',
  (size) => {
    const frame = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(64 * 1024) });
    const reader = createFrameReader();
    let taken = 0;
    while (taken * size < frame.length) {
      if (reader.push(frame.subarray(taken * size, (taken + 1) * size)) === undefined) break;
      taken += 1;
    }
    expect(taken).toBeGreaterThan(4);
    expect(taken).toBeLessThan(32);
  },
);

test('each frame counts only its own pieces, however frames share them', () => {
  const frame = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(100) });
  const all = new Uint8Array(frame.length * 200);
  for (let n = 0; n < 200; n++) all.set(frame, n * frame.length);
  const reader = createFrameReader();
  let got = 0;
  for (let at = 0; at < all.length; at += 50) {
    const frames = reader.push(all.subarray(at, at + 50));
    expect(frames).toBeDefined();
    got += frames?.length ?? 0;
  }
  expect(got).toBe(200);
});

test('an announced length alone allocates nothing', () => {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, maxFrameBytes);
  const reader = createFrameReader();
  expect(reader.push(head)).toEqual([]);
  expect(reader.bufferedBytes()).toBe(0);
  expect(reader.isPartial()).toBe(true);
  reader.push(new Uint8Array(10));
  expect(reader.bufferedBytes()).toBeLessThanOrEqual(1_024);
});

test('the reader copies its pieces: their buffers may be reused', () => {
  const payload = new Uint8Array(3_000).fill(7);
  const frame = encodeFrame({ id: 1, kind: 'request', payload });
  const reader = createFrameReader();
  const piece = new Uint8Array(1_000);
  let got: readonly Frame[] = [];
  for (let at = 0; at < frame.length; at += piece.length) {
    const part = frame.subarray(at, at + piece.length);
    piece.set(part);
    got = reader.push(piece.subarray(0, part.length)) ?? [];
  }
  piece.fill(0);
  expect(got[0]?.payload).toEqual(payload);
});
