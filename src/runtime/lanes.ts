/**
 * How many pieces are under way at once: few on a slow link, where more of them would only make each
 * one late, and up to a bound on a fast one. All transfers of one program share the lanes.
 */

/** Grows by one with each quick piece, shrinks by one with a slow one, halves when the link is too full. */
export interface Pace {
  readonly width: number;
  readonly most: number;
}

const lanesAtFirst = 2;
/** A piece in less time leaves room for another one beside it. */
export const quickPieceMs = 5_000;
/** A piece that takes longer comes close to the time after which it is given up. */
export const slowPieceMs = 20_000;

export const openPace = (most: number): Pace => ({ width: Math.min(lanesAtFirst, most), most });

export function afterPiece(pace: Pace, tookMs: number): Pace {
  const change = tookMs <= quickPieceMs ? 1 : tookMs > slowPieceMs ? -1 : 0;
  return { ...pace, width: Math.min(pace.most, Math.max(1, pace.width + change)) };
}

export const afterCongestion = (pace: Pace): Pace => ({
  ...pace,
  width: Math.max(1, Math.floor(pace.width / 2)),
});

export interface Lanes {
  /** Runs a transfer of one piece when a lane is free, in order; rejects with the signal's reason. */
  readonly run: <T>(transfer: () => Promise<T>, signal: AbortSignal) => Promise<T>;
  /** When the last piece arrived, by the same clock; minus infinity before the first one. */
  readonly arrivedMs: () => number;
}

/**
 * @param now a clock in milliseconds
 * @param isCongested whether a transfer failed because the link was too full
 */
export function createLanes(
  most: number,
  now: () => number,
  isCongested: (error: unknown) => boolean,
): Lanes {
  let pace = openPace(most);
  let running = 0;
  let arrivedMs = -Infinity;
  const turns = new Set<() => void>();

  const startNext = (): void => {
    for (const begin of turns) {
      if (running >= pace.width) return;
      turns.delete(begin);
      running += 1;
      begin();
    }
  };
  const turn = (signal: AbortSignal): Promise<void> =>
    new Promise((begin, reject) => {
      signal.throwIfAborted();
      const leave = (): void => {
        turns.delete(start);
        reject(signal.reason as Error);
      };
      const start = (): void => {
        signal.removeEventListener('abort', leave);
        begin();
      };
      signal.addEventListener('abort', leave, { once: true });
      turns.add(start);
      startNext();
    });

  return {
    arrivedMs: () => arrivedMs,
    run: async (transfer, signal) => {
      await turn(signal);
      const begunMs = now();
      try {
        const value = await transfer();
        arrivedMs = now();
        pace = afterPiece(pace, arrivedMs - begunMs);
        return value;
      } catch (error) {
        if (isCongested(error)) pace = afterCongestion(pace);
        throw error;
      } finally {
        running -= 1;
        startNext();
      }
    },
  };
}
