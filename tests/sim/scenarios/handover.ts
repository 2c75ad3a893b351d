/** Elders die; the oldest adults take their places under a new key, and nothing forks (N19–N29). */
import { createPrng } from '../prng.ts';
import {
  checkElders,
  checkUpToDate,
  found,
  living,
  rough,
  standing,
  tell,
  type SectionApi,
} from '../section-world.ts';
import type { SimScenario } from './scenario.ts';

export const handoverScenario: SimScenario = {
  name: 'handover',
  run: (seed) => {
    const prng = createPrng(seed);
    const adults = 4 + prng.below(4);
    const founding = found(prng, [...Array<number>(7).fill(7), ...Array<number>(adults).fill(6)]);
    const deaths = 1 + prng.below(2);
    const victims = [...founding.elders];
    const kill = (api: SectionApi): void => {
      const [victim] = victims.splice(prng.below(victims.length), 1);
      if (victim !== undefined) api.stop(victim.id);
    };
    const { report, violations } = tell(
      {
        founding,
        faults: rough,
        healAtMs: 25_000,
        endAtMs: 70_000,
        deeds: Array.from({ length: deaths }, () => ({ atMs: 500 + prng.below(15_000), do: kill })),
      },
      seed,
    );
    const behind = living(report).filter(
      ({ state }) =>
        (state.own?.state.authority.epoch ?? 0n) < 1n ||
        (state.own?.state.authority.elders ?? []).some(
          ({ name }) =>
            !living(report).some((node) => node.state.own !== null && node.id === hex(name)),
        ),
    );
    return {
      events: report.events,
      violations: [
        ...violations,
        ...checkUpToDate(report),
        ...checkElders(report),
        ...behind.slice(0, 1).map((view) => `no new elders: ${standing(view)}`),
      ],
      undelivered: behind.length,
    };
  },
};

const hex = (name: Uint8Array): string =>
  Array.from(name, (byte) => byte.toString(16).padStart(2, '0')).join('');
