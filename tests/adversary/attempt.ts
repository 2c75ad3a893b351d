/** An attacker's repeated attempts, and their outcomes. */
import type { Prng } from '../sim/prng.ts';

/**
 * - `refused`: answered with a refusal, or with a proof that the request is wrong.
 * - `served`: answered as if it were valid. For invalid work this is a fault of the network.
 * - `cut`: the connection was closed, or could not be opened.
 * - `unanswered`: no reply came in time, or none was requested.
 */
export type Outcome = 'refused' | 'served' | 'cut' | 'unanswered';

export interface Attempt {
  readonly name: string;
  /** The request is valid, so an answer is right: only the number of requests is an attack. */
  readonly harmless?: true;
  /** Never rejects. */
  readonly once: (prng: Prng) => Promise<Outcome>;
}

export interface Attacker {
  readonly name: string;
  readonly attempts: readonly Attempt[];
  readonly stop: () => Promise<void>;
}

export type Tally = Record<string, Record<Outcome, number>>;

export interface Pace {
  /** Attempts per second, over all attackers. */
  readonly perSecond: number;
  readonly seconds: number;
  /**
   * Maximum of open attempts; at the limit none is started. One that only waits soon stops
   * counting.
   */
  readonly atOnce: number;
  readonly prng: Prng;
}

/** Half frames and the like wait for seconds at no cost to the attacker: start others meanwhile. */
const waitsAfterMs = 250;
const maxWaiting = 1_024;

/** Makes attempts of all attackers at a steady rate, in an order drawn from the seed. */
export async function attack(attackers: readonly Attacker[], pace: Pace): Promise<Tally> {
  const { prng, perSecond, seconds, atOnce } = pace;
  const attempts = attackers.flatMap(({ attempts: own }) => own);
  const tally: Tally = {};
  const all = new Set<Promise<void>>();
  const open = new Set<Promise<void>>();
  const begunMs = performance.now();
  const endMs = begunMs + seconds * 1000;
  for (let n = 0; performance.now() < endMs; n++) {
    const attempt = prng.pick(attempts);
    const counts = (tally[attempt.name] ??= { refused: 0, served: 0, cut: 0, unanswered: 0 });
    const running = attempt.once(prng).then((outcome) => {
      counts[outcome] += 1;
      all.delete(running);
    });
    all.add(running);
    const busy = Promise.race([
      running,
      pause(waitsAfterMs).then(() => (all.size < maxWaiting ? undefined : running)),
    ]).then(() => void open.delete(busy));
    open.add(busy);
    if (open.size >= atOnce) await Promise.race(open);
    const dueMs = begunMs + ((n + 1) * 1000) / perSecond;
    const early = dueMs - performance.now();
    if (early > 0) await pause(early);
  }
  await Promise.race([Promise.all(all), pause(15_000)]);
  return tally;
}

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

export const totalOf = (tally: Tally): Record<Outcome, number> => {
  const total = { refused: 0, served: 0, cut: 0, unanswered: 0 };
  for (const counts of Object.values(tally)) {
    for (const outcome of Object.keys(total) as Outcome[]) total[outcome] += counts[outcome];
  }
  return total;
};
