/** Observations of the streams of one host about the link they share. */
export interface LinkMonitor {
  /** A frame to or from this peer has taken more than {@link slowFrameMs} and still makes progress. */
  readonly recordSlowFrame: (peer: object) => void;
  /**
   * Was the link busy with such a frame at this time (of `performance.now()`) or later?
   * @param except a peer whose own frames do not count: it may be the slow one
   */
  readonly wasSlowSince: (ms: number, except?: object) => boolean;
}

/** A longer frame fills the link: other messages are late then, not unanswered. */
export const slowFrameMs = 2_000;

interface SlowFrame {
  readonly peer: object | null;
  readonly ms: number;
}

export function createLinkMonitor(): LinkMonitor {
  // The newest peer, and the newest other peer: whichever is excluded, the other one counts.
  let newest: SlowFrame = { peer: null, ms: -Infinity };
  let before: SlowFrame = newest;
  return {
    recordSlowFrame: (peer) => {
      if (newest.peer !== peer) before = newest;
      newest = { peer, ms: performance.now() };
    },
    wasSlowSince: (ms, except) =>
      [newest, before].some((frame) => frame.peer !== except && frame.ms >= ms),
  };
}
