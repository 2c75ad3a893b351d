/** A key generation of seven, of whom up to two lie, are silent or sleep through it. */
import type { Dkg } from '#protocol/dkg/index.ts';
import type { NodeId } from '#core/machine.ts';
import { lies, lyingCompute, type Lie } from '../dkg-lies.ts';
import { castOf, missing, must, play, type Cast, type Play } from '../dkg-world.ts';
import { createPrng } from '../prng.ts';
import type { Corrupt } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const cast = castOf();

export const dkgScenario: SimScenario = {
  name: 'dkg',
  run: (seed) => {
    const outcome = play(seed, playOf(seed));
    return {
      events: outcome.report.events,
      violations: missing(cast, outcome),
      undelivered: outcome.undelivered,
    };
  },
};

/** Who is who in this seed: nobody bad in one of three, else one or two. */
export function playOf(seed: number): Play {
  const prng = createPrng(seed ^ 0x5eed);
  const bad = prng.below(3);
  const order = [1, 2, 3, 4, 5, 6, 7].map((index) => ({ index, draw: prng.below(1 << 30) }));
  order.sort((a, b) => a.draw - b.draw);
  const [first, second, third] = order.map(({ index }) => index);
  const liars = new Map(
    [must(first), must(second)].slice(0, bad).map((at) => [at, prng.pick(lies)]),
  );
  const sleeper = bad < 2 && prng.chance(0.5) ? must(cast.ids[must(third) - 1]) : undefined;
  return withLies(cast, liars, sleeper);
}

export function withLies(of: Cast, liars: ReadonlyMap<number, Lie>, sleeper?: NodeId): Play {
  const corrupt = new Map<NodeId, Corrupt<Dkg>>(
    [...liars].map(([liar, lie]) => [must(of.ids[liar - 1]), lie.corrupt(of, liar)]),
  );
  return {
    cast: of,
    corrupt,
    compute: lyingCompute(of, liars),
    ...(sleeper === undefined ? {} : { sleeper }),
  };
}
