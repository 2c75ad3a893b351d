/** Elders die; the oldest adults take their places under a new key, and nothing forks (N19–N29). */
import { nameToId } from '#address/xor-name.ts';
import { toyCurves, type Curves } from '../curves.ts';
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
  usualPace,
  type Nodes,
  type SectionApi,
  type Story,
} from '../section-world.ts';
import type { SimScenario } from './scenario.ts';

export interface HandoverPlan {
  /** Told by both liars, in every seed. */
  readonly lie?: SectionLie;
  /** In a relocation: told by an adult, in every seed. */
  readonly meddling?: SectionLie;
  readonly faults?: Faults;
  readonly machine?: SectionMachine;
  readonly compute?: Story['compute'];
  /** Other algebra than the toys'. */
  readonly curves?: Curves;
  /** Elders want another number of places twice a second: there is always something to decide. */
  readonly restless?: boolean;
}

export const handoverScenario: SimScenario = {
  name: 'handover',
  run: (seed) => runHandover(seed),
};

/** Of the seven at most two die, lie or lose their memory; the others and the adults go on. */
export function runHandover(seed: number, plan: HandoverPlan = {}) {
  const prng = createPrng(seed);
  const adults = 4 + prng.below(4);
  const founding = found(
    prng,
    [...Array<number>(7).fill(7), ...Array<number>(adults).fill(6)],
    usualPace,
    () => '',
    {},
    { curves: plan.curves ?? toyCurves },
  );
  const deaths = 1 + prng.below(2);
  const victims = [...founding.elders];
  const kill = (api: SectionApi): void => {
    const [victim] = victims.splice(prng.below(victims.length), 1);
    if (victim !== undefined) api.stop(victim.id);
  };
  const deeds = Array.from({ length: deaths }, () => ({ atMs: 500 + prng.below(6_000), do: kill }));
  const wanting = Array.from({ length: plan.restless === true ? 60 : 0 }, (_, at) => ({
    atMs: 1_000 + at * 500,
    do: (api: SectionApi) => {
      for (const { id } of founding.elders) {
        api.input(id, { kind: 'placesWanted', places: 1 + at }, prng.below(100));
      }
    },
  }));
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
        isOver: (nodes) =>
          nodes.filter(({ stopped }) => stopped).length === deaths && isDone({ nodes }),
        deeds: [...deeds, ...wanting],
        ...(plan.machine === undefined ? {} : { machine: plan.machine }),
        ...(plan.compute === undefined ? {} : { compute: plan.compute }),
      },
      liars,
    ),
    seed,
  );
  const { behind, faults } = shortfall(report);
  return {
    events: report.events,
    violations: [
      ...violations,
      ...faults,
      ...behind.slice(0, 1).map((view) => `no new elders: ${standing(view)}`),
    ],
    undelivered: behind.length,
    trace: report.trace,
    nodes: report.nodes,
    liars: [...liars.values()].map(({ lie }) => lie.name),
  };
}

/** What is missing until all living nodes have elders that live, under a key of their own. */
function shortfall(report: Nodes) {
  const running = new Set(report.nodes.filter(({ stopped }) => !stopped).map(({ id }) => id));
  const behind = living(report).filter(({ state: { own } }) => {
    const { epoch = 0n, elders = [] } = own?.state.authority ?? {};
    return epoch < 1n || elders.some(({ name }) => !running.has(nameToId(name)));
  });
  return { behind, faults: [...checkUpToDate(report), ...checkElders(report)] };
}

function isDone(report: Nodes): boolean {
  const { behind, faults } = shortfall(report);
  return behind.length + faults.length === 0;
}
