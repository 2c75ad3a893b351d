/** Selected members relocate with a certificate, a new name and one more year of age (N36–N38). */
import { ageOf, nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { renameBytes } from '#protocol/membership/index.ts';
import { relocationId } from '#protocol/section/index.ts';
import { toyCurves } from '../toys/curves.ts';
import { createPrng } from '../prng.ts';
import {
  joinNode,
  rejoinNode,
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
  type SectionApi,
} from '../section/section-world.ts';
import { drawLiars, meddlingAdult, withLiars } from '../section/section-adversaries.ts';
import type { HandoverPlan } from './handover.ts';
import type { SimScenario } from './scenario.ts';

export const relocationScenario: SimScenario = {
  name: 'relocation',
  run: (seed) => runRelocation(seed),
};

/**
 * Ten nodes join and some relocate; among them one with a false age, one unreachable, one meddling
 * adult.
 */
export function runRelocation(seed: number, plan: HandoverPlan = {}) {
  const prng = createPrng(seed);
  const members = 16 + prng.below(5);
  const ages = Array.from({ length: members }, (_, at) => (at < 7 ? 9 : 5));
  const { curves = toyCurves } = plan;
  const pace = { ...usualSectionPace, roundMs: 2_000, graceRounds: 8 };
  const founding = foundSection(prng, ages, pace, () => '', { vacancies: 24 }, { curves });
  const joiners = Array.from({ length: 10 }, () =>
    simNodeFor(founding.anchor, pace, curves.nameFor(prng, 5), curves),
  );
  const consumedBy = new Map<string, string>();
  const wrong: string[] = [];
  const twins = new Set<string>();
  const liars = drawLiars(createPrng(seed ^ 0x11a5), founding.elders, 2, plan.lie);
  const tooOld = simNodeFor(founding.anchor, pace, curves.nameFor(prng, 9), curves);
  const hidden = simNodeFor(founding.anchor, pace, curves.nameFor(prng, 5), curves);
  const meddler = founding.simNodes[7 + prng.below(members - 7)];
  const meddlers = new Map(
    meddler === undefined || (prng.chance(0.5) && plan.meddling === undefined)
      ? []
      : [[meddler.id, { simNode: meddler, lie: plan.meddling ?? meddlingAdult }] as const],
  );
  const outsiders = [tooOld, hidden].map((simNode, at) => ({
    atMs: 2_000 + at * 1_000,
    do: (api: SectionApi) => {
      const guide = api.nodes().find((node) => node.state.own !== null);
      if (guide !== undefined) joinNode(api, simNode, guide);
    },
  }));
  const replayed = new Map<string, ReadonlySet<string>>();
  /**
   * Every running node is a member at the end: it joined, stayed, or relocated with a certificate.
   */
  const shortfall = (now: NodeViews) => {
    const lost = livingNodes(now).filter(
      ({ id, state }) =>
        !state.wasMember &&
        ![tooOld.id, hidden.id].includes(id) &&
        // N39: a section that split meanwhile has no vacancies until it needs storage again.
        state.joining?.refused !== 'noVacancy' &&
        // Of two nodes under one certificate either may have come first.
        ![...replayed.values()].some((both) => both.has(id)) &&
        !twins.has(id),
    );
    const unpaid = lost.filter(({ state: { joining } }) => (joining?.certificate ?? null) !== null);
    return { lost, unpaid, faults: [...checkUpToDate(now), ...checkElders(now)] };
  };
  const { report, violations } = runSectionStory(
    withLiars(
      {
        founding,
        faults: { ...faultyNetwork, crashProbability: 0.0002 },
        healAtMs: 40_000,
        endAtMs: 75_000,
        isOver: (nodes) => {
          const { lost, faults } = shortfall({ nodes });
          return lost.length + faults.length === 0;
        },
        unreachable: new Set([hidden.id]),
        ...(plan.machine === undefined ? {} : { machine: plan.machine }),
        ...(plan.compute === undefined ? {} : { compute: plan.compute }),
        externalEvents: [
          ...outsiders,
          ...joiners.flatMap((joiner, at) => {
            const atMs = 500 + at * 3_000 + prng.below(1_000);
            const come = (api: SectionApi): void => {
              const guide = api.nodes().find((node) => node.state.own !== null);
              if (guide !== undefined) joinNode(api, joiner, guide);
            };
            const again = (api: SectionApi): void => rejoinNode(api, joiner);
            return [
              { atMs, do: come },
              ...[4_000, 8_000].map((laterMs) => ({ atMs: atMs + laterMs, do: again })),
            ];
          }),
        ],
        watch: ({ node, outputs }, api) => {
          for (const output of outputs) {
            if (output.kind === 'adopted') {
              const { authority } = output.sealed.state;
              const names = new Set(authority.members.map(({ name }) => nameToId(name)));
              if (names.has(tooOld.id)) wrong.push('MEMBERSHIP-B5: a member with a false age');
              for (const both of replayed.values()) {
                if ([...both].every((id) => names.has(id)))
                  wrong.push('N38: one certificate, two members');
              }
            }
            if (output.kind === 'relocate' && (replayed.size === 0 || prng.chance(0.5))) {
              // N38: a second name under the same certificate, a little later.
              const { details, sourceKey, sourceEpoch, signature } = output;
              const bits = [...details.destination.slice(0, 2)]
                .map((byte) => byte.toString(2).padStart(8, '0'))
                .join('');
              const name = curves.nameFor(prng, details.age, bits);
              const bytes = renameBytes(founding.anchor.networkId, details, name);
              const nameSignature = curves.suites.identity.sign(curves.seedOf(details.name), bytes);
              const certificate = {
                relocation: details,
                sourceKey,
                sourceEpoch,
                signature,
                nameSignature,
              };
              const twin = api.nodes().at(-1);
              const simNode = simNodeFor(founding.anchor, pace, name, curves);
              if (twin !== undefined) replayed.set(node.id, new Set([twin.id, simNode.id]));
              twins.add(simNode.id);
              joinNode(api, simNode, node, certificate);
            }
            if (output.kind === 'relocate') {
              const { details } = output;
              const grown = ageOf(details.name) + 1;
              if (details.reason === 'reward' && details.age !== grown) wrong.push('wrong age');
              const id = toHex(relocationId(founding.anchor.networkId, details));
              const before = consumedBy.get(id);
              if (before !== undefined && before !== node.id) wrong.push('a certificate for two');
              consumedBy.set(id, node.id);
            }
          }
        },
      },
      new Map([...liars, ...meddlers]),
    ),
    seed,
  );
  const { lost, unpaid, faults } = shortfall(report);
  return {
    events: report.events,
    violations: [
      ...violations,
      ...wrong,
      ...faults,
      ...unpaid.slice(0, 1).map((view) => `moved nowhere: ${describeNode(view)}`),
    ],
    undelivered: lost.length,
    trace: report.trace,
    nodes: report.nodes,
    liars: [...liars.values()].map(({ lie }) => lie.name),
  };
}
