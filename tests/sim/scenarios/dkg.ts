/** A key generation of seven, of which up to two lie, are unresponsive or offline throughout. */
import type { Dkg } from '#protocol/dkg/index.ts';
import type { NodeId } from '#core/machine.ts';
import { dkgLies, lyingCompute, type DkgLie } from '../dkg/dkg-adversaries.ts';
import {
  dkgCastOf,
  missing,
  valueOf,
  playDkg,
  type DkgCast,
  type DkgPlay,
} from '../dkg/dkg-world.ts';
import { createPrng } from '../prng.ts';
import type { Corrupt } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const cast = dkgCastOf();

export const dkgScenario: SimScenario = {
  name: 'dkg',
  run: (seed) => {
    const outcome = playDkg(seed, playOf(seed));
    return {
      events: outcome.report.events,
      violations: missing(cast, outcome),
      undelivered: outcome.undelivered,
    };
  },
};

/** The roles of this seed: no corrupt candidate in one of three seeds, else one or two. */
export function playOf(seed: number): DkgPlay {
  const prng = createPrng(seed ^ 0x5eed);
  const bad = prng.below(3);
  const order = [1, 2, 3, 4, 5, 6, 7].map((index) => ({ index, draw: prng.below(1 << 30) }));
  order.sort((a, b) => a.draw - b.draw);
  const [first, second, third] = order.map(({ index }) => index);
  const liars = new Map(
    [valueOf(first), valueOf(second)].slice(0, bad).map((at) => [at, prng.pick(dkgLies)]),
  );
  const offline = bad < 2 && prng.chance(0.5) ? valueOf(cast.ids[valueOf(third) - 1]) : undefined;
  return withLies(cast, liars, offline);
}

export function withLies(
  of: DkgCast,
  liars: ReadonlyMap<number, DkgLie>,
  offline?: NodeId,
): DkgPlay {
  const corrupt = new Map<NodeId, Corrupt<Dkg>>(
    [...liars].map(([liar, lie]) => [valueOf(of.ids[liar - 1]), lie.corrupt(of, liar)]),
  );
  return {
    cast: of,
    corrupt,
    compute: lyingCompute(of, liars),
    ...(offline === undefined ? {} : { offline }),
  };
}
