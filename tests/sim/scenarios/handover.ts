/** Elders fail; the oldest adults replace them under a new key, and no key forks (N19–N29). */
import { nameToId } from '#address/xor-name.ts';
import { toyCurves, type Curves } from '../toys/curves.ts';
import { createPrng } from '../prng.ts';
import { drawLiars, withLiars, type SectionLie } from '../section/section-adversaries.ts';
import type { SectionMachine } from '../section/section-check.ts';
import type { Faults } from '../world.ts';
import {
  checkElders,
  checkUpToDate,
  foundSection,
  livingNodes,
  faultyNetwork,
  describeNode,
  runSectionStory,
  usualSectionPace,
  type NodeViews,
  type SectionApi,
  type SectionStory,
} from '../section/section-world.ts';
import type { SimScenario } from './scenario.ts';

export interface HandoverPlan {
  /** The lie of both liars, in every seed. */
  readonly lie?: SectionLie;
  /** In a relocation: the lie of an adult, in every seed. */
  readonly meddling?: SectionLie;
  readonly faults?: Faults;
  readonly machine?: SectionMachine;
  readonly detectsLoss?: true;
  readonly compute?: SectionStory['compute'];
  /** Other algebra than the toys'. */
  readonly curves?: Curves;
  /** Elders change the wanted vacancies twice a second: there is always something to decide. */
  readonly restless?: boolean;
}

export const handoverScenario: SimScenario = {
  name: 'handover',
  run: (seed) => runHandover(seed),
};

/** At most two of seven elders fail, lie or lose state; the others and the adults continue. */
export function runHandover(seed: number, plan: HandoverPlan = {}) {
  const prng = createPrng(seed);
  const adults = 4 + prng.below(4);
  const founding = foundSection(
    prng,
    [...Array<number>(7).fill(7), ...Array<number>(adults).fill(6)],
    usualSectionPace,
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
        api.input(id, { kind: 'setVacancies', vacancies: 1 + at }, prng.below(100));
      }
    },
  }));
  // Elders that lie or lose state under this key do not fail: together with the failed ones at most
  // two.
  const bad = 2 - deaths;
  const liars = drawLiars(createPrng(seed ^ 0x11a5), founding.elders, bad, plan.lie);
  victims.splice(0, victims.length, ...victims.filter(({ id }) => !liars.has(id)));
  const { report, violations } = runSectionStory(
    withLiars(
      {
        founding,
        faults: {
          ...faultyNetwork,
          ...plan.faults,
          lostTail: {
            probability: 0.3,
            facts: [1, 6],
            ...plan.faults?.lostTail,
            // Together with the failed ones and the liars at most two.
            maxNodes: bad - liars.size,
          },
        },
        healAtMs: 12_000,
        endAtMs: 45_000,
        isOver: (nodes) =>
          nodes.filter(({ stopped }) => stopped).length === deaths && isDone({ nodes }),
        externalEvents: [...deeds, ...wanting],
        ...(plan.machine === undefined ? {} : { machine: plan.machine }),
        ...(plan.detectsLoss === undefined ? {} : { detectsLoss: plan.detectsLoss }),
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
      ...behind.slice(0, 1).map((view) => `no new elders: ${describeNode(view)}`),
    ],
    undelivered: behind.length,
    trace: report.trace,
    nodes: report.nodes,
    liars: [...liars.values()].map(({ lie }) => lie.name),
  };
}

/** Nodes without running elders under a new key, and other violations. */
function shortfall(report: NodeViews) {
  const running = new Set(report.nodes.filter(({ stopped }) => !stopped).map(({ id }) => id));
  const behind = livingNodes(report).filter(({ state: { own } }) => {
    const { epoch = 0n, elders = [] } = own?.state.authority ?? {};
    return epoch < 1n || elders.some(({ name }) => !running.has(nameToId(name)));
  });
  return { behind, faults: [...checkUpToDate(report), ...checkElders(report)] };
}

function isDone(report: NodeViews): boolean {
  const { behind, faults } = shortfall(report);
  return behind.length + faults.length === 0;
}
