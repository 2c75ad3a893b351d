/** What the streams of one host have noticed of the link they share. */
export interface Link {
  /** A frame to or from this peer has been under way for more than {@link slowFrameMs} and still moves. */
  readonly noteSlow: (peer: object) => void;
  /**
   * Was the link busy with such a frame at this time (of `performance.now()`) or later?
   * @param except a peer whose own frames tell nothing: it may be what is slow
   */
  readonly slowSince: (ms: number, except?: object) => boolean;
}

/** A frame that takes longer fills the link: what else is sent meanwhile is late, and not unanswered. */
export const slowFrameMs = 2_000;

interface Noted {
  readonly peer: object | null;
  readonly ms: number;
}

export function watchLink(): Link {
  // The newest peer, and the newest one beside it: whichever is left out, the other one answers.
  let newest: Noted = { peer: null, ms: -Infinity };
  let before: Noted = newest;
  return {
    noteSlow: (peer) => {
      if (newest.peer !== peer) before = newest;
      newest = { peer, ms: performance.now() };
    },
    slowSince: (ms, except) =>
      [newest, before].some((noted) => noted.peer !== except && noted.ms >= ms),
  };
}
