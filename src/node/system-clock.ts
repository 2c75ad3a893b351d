import type { Clock } from '#runtime/driver.ts';

export const systemClock: Clock = {
  now: Date.now,
  setTimer: (callback, afterMs) => {
    const timer = setTimeout(callback, afterMs);
    return () => clearTimeout(timer);
  },
};
