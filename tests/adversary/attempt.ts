/** What an attacker does again and again, and what became of it. */
import type { Prng } from '../sim/prng.ts';

/**
 * - `refused`: answered with a refusal, or with a proof that it is wrong.
 * - `served`: answered as if it had been right. For invalid work that is a fault of the network.
 * - `cut`: the connection was ended, or could not be opened.
 * - `unanswered`: nothing came back in time, or nothing was asked for.
 */
export type Outcome = 'refused' | 'served' | 'cut' | 'unanswered';

export interface Attempt {
  readonly name: string;
  /** An answer is right here: asking is no offence, the amount of it is. */
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
  /** Attempts per second, all together. */
  readonly perSecond: number;
  readonly seconds: number;
  /** Attempts at once; while so many are open, none is begun. One that only waits is soon not counted. */
  readonly atOnce: number;
  readonly prng: Prng;
}

/** Half frames and the like wait for seconds and cost the attacker nothing: others are begun meanwhile. */
const waitsAfterMs = 250;
const maxWaiting = 1_024;

/** Attempts of all attackers in an order drawn from the seed, at a steady pace. */
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
