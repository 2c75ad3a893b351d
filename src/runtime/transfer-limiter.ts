/**
 * Limits how many pieces are in transit at the same time: few on a slow link, where more of them would only
 * delay each other, and up to a bound on a fast one. All transfers of a program share it.
 */

/** Grows by one with each quick piece, shrinks by one with a slow one, halves on congestion. */
export interface TransferWindow {
  readonly width: number;
  readonly max: number;
}

const initialTransfers = 2;
/** A faster piece leaves room for another one in parallel. */
export const quickPieceMs = 5_000;
/** A slower piece comes close to its timeout. */
export const slowPieceMs = 20_000;

export const initialWindow = (max: number): TransferWindow => ({
  width: Math.min(initialTransfers, max),
  max,
});

export function windowAfterPiece(transferWindow: TransferWindow, tookMs: number): TransferWindow {
  const change = tookMs <= quickPieceMs ? 1 : tookMs > slowPieceMs ? -1 : 0;
  return {
    ...transferWindow,
    width: Math.min(transferWindow.max, Math.max(1, transferWindow.width + change)),
  };
}

export const windowAfterCongestion = (transferWindow: TransferWindow): TransferWindow => ({
  ...transferWindow,
  width: Math.max(1, Math.floor(transferWindow.width / 2)),
});

export interface TransferLimiter {
  /** Runs a transfer of one piece when a lane is free, in order; rejects with the signal's reason. */
  readonly run: <T>(transfer: () => Promise<T>, signal: AbortSignal) => Promise<T>;
  /** When the last piece arrived, by the same clock; minus infinity before the first one. */
  readonly arrivedMs: () => number;
}

/**
 * @param now a clock in milliseconds
 * @param isCongested whether a transfer failed because the link was overloaded
 */
export function createTransferLimiter(
  max: number,
  now: () => number,
  isCongested: (error: unknown) => boolean,
): TransferLimiter {
  let transferWindow = initialWindow(max);
  let running = 0;
  let arrivedMs = -Infinity;
  const queue = new Set<() => void>();

  const startNext = (): void => {
    for (const begin of queue) {
      if (running >= transferWindow.width) return;
      queue.delete(begin);
      running += 1;
      begin();
    }
  };
  const waitForTurn = (signal: AbortSignal): Promise<void> =>
    new Promise((begin, reject) => {
      signal.throwIfAborted();
      const onAbort = (): void => {
        queue.delete(start);
        reject(signal.reason as Error);
      };
      const start = (): void => {
        signal.removeEventListener('abort', onAbort);
        begin();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      queue.add(start);
      startNext();
    });

  return {
    arrivedMs: () => arrivedMs,
    run: async (transfer, signal) => {
      await waitForTurn(signal);
      const startedMs = now();
      try {
        const value = await transfer();
        arrivedMs = now();
        transferWindow = windowAfterPiece(transferWindow, arrivedMs - startedMs);
        return value;
      } catch (error) {
        if (isCongested(error)) transferWindow = windowAfterCongestion(transferWindow);
        throw error;
      } finally {
        running -= 1;
        startNext();
      }
    },
  };
}
