/** Goal: frames survive any cutting of the stream, and no stream makes the reader hold too much. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat } from '#core/codec/bytes.ts';
import {
  createFrameReader,
  encodeFrame,
  maxFrameBytes,
  maxPayloadBytes,
  type Frame,
} from '#network/frame.ts';

const frame: fc.Arbitrary<Frame> = fc.record({
  id: fc.integer({ min: 1, max: 2 ** 40 }),
  kind: fc.constantFrom('request', 'reply'),
  payload: fc.uint8Array({ maxLength: 300 }),
});

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (frames, cuts) => {
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

test('a frame that announces more than the limit ends the stream at its fourth byte', () => {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, maxFrameBytes + 1);
  expect(createFrameReader().push(head)).toBeUndefined();
});

test('a number in a longer form is malformed', () => {
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

test('noise never throws: it is a frame, an unfinished frame, or the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
      const frames = createFrameReader().push(noise);
      if (frames !== undefined) expect(frames.length).toBeLessThanOrEqual(10);
    }),
    { numRuns: 2_000 },
  );
});
