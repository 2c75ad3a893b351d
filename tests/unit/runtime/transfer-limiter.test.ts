/** Goal: as many pieces are in transit as the link carries, and no waiting piece is forgotten. */
import { expect, test } from 'vitest';
import {
  windowAfterCongestion,
  windowAfterPiece,
  createTransferLimiter,
  initialWindow,
  quickPieceMs,
  slowPieceMs,
  type TransferWindow,
} from '#runtime/transfer-limiter.ts';

const after = (pace: TransferWindow, ...tookMs: readonly number[]): number =>
  tookMs.reduce(windowAfterPiece, pace).width;

test('quick pieces open all lanes one by one, slow ones close all but one', () => {
  const pace = initialWindow(6);
  expect([0, 1, 2, 3, 4, 9].map((n) => after(pace, ...Array<number>(n).fill(100)))).toEqual([
    2, 3, 4, 5, 6, 6,
  ]);
  expect(after(pace, quickPieceMs + 1, slowPieceMs)).toBe(2);
  expect(after({ ...pace, width: 6 }, ...Array<number>(9).fill(slowPieceMs + 1))).toBe(1);
});

test('congestion halves the lanes, and one always remains', () => {
  const widths = [6, 5, 2, 1].map((width) => windowAfterCongestion({ width, max: 6 }).width);
  expect(widths).toEqual([3, 2, 1, 1]);
});

const never = new AbortController().signal;

test('transfers start in order, none above the width, and a failed one frees its lane', async () => {
  const lanes = createTransferLimiter(
    6,
    () => 0,
    (error) => error === 'slow',
  );
  const begun: number[] = [];
  const ends: ((error?: string) => void)[] = [];
  const results = Array.from({ length: 5 }, (_, n) =>
    lanes.run(
      () =>
        new Promise<number>((done, fail) => {
          begun.push(n);
          ends.push((error) => (error === undefined ? done(n) : fail(error)));
        }),
      never,
    ),
  );
  const settled = Promise.allSettled(results);
  const turn = (): Promise<void> => new Promise((go) => setTimeout(go, 0));
  await turn();
  expect(begun).toEqual([0, 1]);
  ends[0]?.('slow');
  await turn();
  // One lane remains, and it is occupied.
  expect(begun).toEqual([0, 1]);
  ends[1]?.('gone');
  await turn();
  expect(begun).toEqual([0, 1, 2]);
  ends[2]?.();
  await turn();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  for (const end of ends) end();
  expect((await settled).map(({ status }) => status)).toEqual([
    'rejected',
    'rejected',
    'fulfilled',
    'fulfilled',
    'fulfilled',
  ]);
});

test('a transfer cancelled in the queue takes no lane', async () => {
  const lanes = createTransferLimiter(
    2,
    () => 0,
    () => false,
  );
  const cancel = new AbortController();
  const gone = new Error('cancelled');
  const ends: (() => void)[] = [];
  const running = [1, 2].map(() =>
    lanes.run(() => new Promise<void>((done) => ends.push(done)), never),
  );
  const waiting = lanes.run(async () => 'ran', cancel.signal);
  const next = lanes.run(async () => 'next', never);
  cancel.abort(gone);
  await expect(waiting).rejects.toBe(gone);
  await expect(lanes.run(async () => 'ran', cancel.signal)).rejects.toBe(gone);
  for (const end of ends) end();
  await Promise.all(running);
  expect(await next).toBe('next');
});
