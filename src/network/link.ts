/** What the streams of one host have noticed of the link they share. */
export interface Link {
  /** A frame has been under way for more than {@link slowFrameMs} and its bytes still move. */
  readonly noteSlow: () => void;
  /** Was the link busy with such a frame at this time (of `performance.now()`) or later? */
  readonly slowSince: (ms: number) => boolean;
}

/** A frame that takes longer fills the link: what else is sent meanwhile is late, and not unanswered. */
export const slowFrameMs = 2_000;

export function watchLink(): Link {
  let slowMs = -Infinity;
  return {
    noteSlow: () => {
      slowMs = performance.now();
    },
    slowSince: (ms) => slowMs >= ms,
  };
}
