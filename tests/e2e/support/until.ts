/**
 * How long a test waits for a state that must come: far longer than it takes, because a crowded
 * machine is slow, and speed is no matter of these tests.
 */
export const patienceMs = 120_000;

/** Polls until the result fits; the last result is in the error. */
export async function until<T>(
  ask: () => Promise<T>,
  fits: (answer: T) => boolean,
  timeoutMs = patienceMs,
  everyMs = 100,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (performance.now() > deadline) {
      throw new Error(`still ${JSON.stringify(answer)} after ${timeoutMs} ms`);
    }
    await new Promise((go) => setTimeout(go, everyMs));
  }
}
