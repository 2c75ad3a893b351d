/** Asks again and again until the answer fits; the last answer is in the error. */
export async function until<T>(
  ask: () => Promise<T>,
  fits: (answer: T) => boolean,
  timeoutMs = 60_000,
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
