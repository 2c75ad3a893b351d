/** Elders die; the oldest adults take their places under a new key, and nothing forks (N19–N29). */
import { createPrng } from '../prng.ts';
import { drawLiars, withLiars, type SectionLie } from '../section-lies.ts';
import type { SectionMachine } from '../section-check.ts';
import type { Faults } from '../world.ts';
import {
  checkElders,
  checkUpToDate,
  found,
  living,
  rough,
  standing,
  tell,
  type SectionApi,
  type Story,
} from '../section-world.ts';
import type { SimScenario } from './scenario.ts';

export interface HandoverPlan {
  /** Told by both liars, in every seed. */
  readonly lie?: SectionLie;
  readonly faults?: Faults;
  readonly machine?: SectionMachine;
  readonly compute?: Story['compute'];
}

export const handoverScenario: SimScenario = {
  name: 'handover',
  run: (seed) => runHandover(seed),
};

/** Of the seven at most two die, lie or lose their memory; the others and the adults go on. */
export function runHandover(seed: number, plan: HandoverPlan = {}) {
  const prng = createPrng(seed);
  const adults = 4 + prng.below(4);
  const founding = found(prng, [...Array<number>(7).fill(7), ...Array<number>(adults).fill(6)]);
  const deaths = 1 + prng.below(2);
  const victims = [...founding.elders];
  const kill = (api: SectionApi): void => {
    const [victim] = victims.splice(prng.below(victims.length), 1);
    if (victim !== undefined) api.stop(victim.id);
  };
  const deeds = Array.from({ length: deaths }, () => ({ atMs: 500 + prng.below(6_000), do: kill }));
  // Whoever lies or forgets under this key lives: with the dead there are at most two of them.
  const bad = 2 - deaths;
  const liars = drawLiars(createPrng(seed ^ 0x11a5), founding.elders, bad, plan.lie);
  victims.splice(0, victims.length, ...victims.filter(({ id }) => !liars.has(id)));
  const { report, violations } = tell(
    withLiars(
      {
        founding,
        faults: {
          ...rough,
          ...plan.faults,
          lostTail: {
            probability: 0.3,
            facts: [1, 6],
            ...plan.faults?.lostTail,
            // With the dead and the liars there are at most two.
            maxNodes: bad - liars.size,
          },
        },
        healAtMs: 12_000,
        endAtMs: 45_000,
        deeds,
        ...(plan.machine === undefined ? {} : { machine: plan.machine }),
        ...(plan.compute === undefined ? {} : { compute: plan.compute }),
      },
      liars,
    ),
    seed,
  );
  const behind = living(report).filter(
    ({ state }) =>
      (state.own?.state.authority.epoch ?? 0n) < 1n ||
      (state.own?.state.authority.elders ?? []).some(
        ({ name }) => !report.nodes.some((node) => !node.stopped && node.id === hex(name)),
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
    trace: report.trace,
    nodes: report.nodes,
    liars: [...liars.values()].map(({ lie }) => lie.name),
  };
}

const hex = (name: Uint8Array): string =>
  Array.from(name, (byte) => byte.toString(16).padStart(2, '0')).join('');
