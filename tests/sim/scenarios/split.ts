/** Both halves are big enough: two key generations, one decision, two sections (N26). */
import { samePrefix } from '#address/prefix.ts';
import { toyCurves } from '../toys/curves.ts';
import { createPrng } from '../prng.ts';
import {
  joinNode,
  checkElders,
  checkUpToDate,
  foundSection,
  livingNodes,
  simNodeFor,
  faultyNetwork,
  describeNode,
  runSectionStory,
  usualSectionPace,
  type NodeViews,
} from '../section/section-world.ts';
import { drawLiars, withLiars } from '../section/section-adversaries.ts';
import type { HandoverPlan } from './handover.ts';
import type { SimScenario } from './scenario.ts';

export const splitScenario: SimScenario = { name: 'split', run: (seed) => runSplit(seed) };

export function runSplit(seed: number, plan: HandoverPlan = {}) {
  const prng = createPrng(seed);
  // Thirteen or fourteen in each half; the last ones join during the run.
  const zeros = 13 + prng.below(2);
  const ones = 13 + prng.below(2);
  const bits = [...Array<string>(zeros).fill('0'), ...Array<string>(ones).fill('1')];
  const shuffled = bits.map((bit) => ({ bit, at: prng.below(1 << 30) }));
  shuffled.sort((a, b) => a.at - b.at);
  const ages = bits.map((_, at) => (at < 7 ? 8 : 5 + prng.below(3)));
  const { curves = toyCurves } = plan;
  const pace = { ...usualSectionPace, roundMs: 2_000, graceRounds: 8 };
  const founding = foundSection(
    prng,
    ages,
    pace,
    (at) => shuffled[at]?.bit ?? '',
    { vacancies: 8 },
    { curves },
  );
  const joiners = ['0', '1', '0', '1'].map((bit) =>
    simNodeFor(founding.anchor, pace, curves.nameFor(prng, 5, bit), curves),
  );
  const liars = drawLiars(createPrng(seed ^ 0x11a5), founding.elders, 2, plan.lie);
  const { report, violations } = runSectionStory(
    withLiars(
      {
        founding,
        faults: {
          ...faultyNetwork,
          crashProbability: 0.0002,
          partition: { probability: 0.00002, forMs: [200, 1_500] },
        },
        healAtMs: 15_000,
        endAtMs: 45_000,
        isOver: (nodes) => {
          const { whole, faults } = shortfall({ nodes });
          return whole.length + faults.length === 0;
        },
        externalEvents: joiners.map((joiner) => ({
          atMs: 500 + prng.below(4_000),
          do: (api) => {
            const teacher = api.nodes().find((node) => node.state.own !== null);
            if (teacher !== undefined) joinNode(api, joiner, teacher);
          },
        })),
        ...(plan.machine === undefined ? {} : { machine: plan.machine }),
        ...(plan.compute === undefined ? {} : { compute: plan.compute }),
      },
      liars,
    ),
    seed,
  );
  const { whole, faults } = shortfall(report);
  return {
    events: report.events,
    violations: [
      ...violations,
      ...faults,
      ...whole.slice(0, 1).map((view) => `not split: ${describeNode(view)}`),
    ],
    undelivered: whole.length,
    trace: report.trace,
    nodes: report.nodes,
    liars: [...liars.values()].map(({ lie }) => lie.name),
  };
}

/** Nodes that are not yet in one of the two halves, and other violations. */
function shortfall(report: NodeViews) {
  const views = livingNodes(report).filter(({ state }) => state.wasMember);
  const whole = views.filter(({ state }) => state.own?.state.authority.prefix.bitCount !== 1);
  const missing = ['0', '1'].filter((bit) => {
    const wanted = { bitCount: 1, bits: new Uint8Array(32).fill(bit === '1' ? 128 : 0, 0, 1) };
    return !views.some(({ state }) => {
      const prefix = state.own?.state.authority.prefix;
      return prefix !== undefined && samePrefix(prefix, wanted);
    });
  });
  const faults = [
    ...checkUpToDate(report),
    ...checkElders(report),
    ...missing.map((bit) => `the half ${bit} is missing`),
  ];
  return { whole, faults };
}
