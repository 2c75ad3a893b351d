/** What the streams of one host have noticed of the link they share. */
export interface Link {
  /** A frame of this stream has been under way for more than {@link slowFrameMs} and its bytes still move. */
  readonly noteSlow: (stream: object) => void;
  /**
   * Was the link busy with such a frame at this time (of `performance.now()`) or later?
   * @param except a stream whose own frames tell nothing: its other end may be what is slow
   */
  readonly slowSince: (ms: number, except?: object) => boolean;
}

/** A frame that takes longer fills the link: what else is sent meanwhile is late, and not unanswered. */
export const slowFrameMs = 2_000;

interface Noted {
  readonly stream: object | null;
  readonly ms: number;
}

export function watchLink(): Link {
  // The newest stream, and the newest one beside it: whichever is left out, the other one answers.
  let newest: Noted = { stream: null, ms: -Infinity };
  let before: Noted = newest;
  return {
    noteSlow: (stream) => {
      if (newest.stream !== stream) before = newest;
      newest = { stream, ms: performance.now() };
    },
    slowSince: (ms, except) =>
      [newest, before].some((noted) => noted.stream !== except && noted.ms >= ms),
  };
}
