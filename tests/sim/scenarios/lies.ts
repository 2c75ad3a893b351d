/**
 * Two of seven elders, an adult and unknown peers continuously send any messages that the codecs
 * accept, in addition to loss and crashes: no step throws, no honest node is blamed or removed, no
 * table overflows, and the section still decides, hands its key over or splits.
 */
import { nameToId } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import { sectionNode, type SectionNodeOutput } from '#roles/section-node/index.ts';
import { withAdversary } from '../adversary/adversary.ts';
import { createBounds } from '../adversary/bounds.ts';
import { createPrng, type Prng } from '../prng.ts';
import type { SectionMachine } from '../section/section-check.ts';
import {
  joinNode,
  checkElders,
  checkUpToDate,
  foundSection,
  livingNodes,
  nameFor,
  simNodeFor,
  faultyNetwork,
  describeNode,
  runSectionStory,
  usualSectionPace,
  type SectionFounding,
  type NodeViews,
  type SimNode,
  type SectionApi,
  type SectionStory,
} from '../section/section-world.ts';
import type { SimScenario } from './scenario.ts';

export interface LiesPlan {
  readonly machine?: SectionMachine;
  readonly compute?: SectionStory['compute'];
  readonly turn?: TurningPoint;
  readonly slow?: boolean;
  /**
   * All honest elders see one adult that answers every ping serve false bytes: it may be demoted,
   * and must stay.
   */
  readonly isOneFalse?: boolean;
  /** When the network heals: violations that take many rounds need longer than usual. */
  readonly healAtMs?: number;
  /** Kinds of message, or of their contents, that the liars prefer. */
  readonly about?: readonly string[];
}

/** The change that the section must complete during the lies. */
export type TurningPoint = 'handover' | 'split' | 'steady';
const turningPoints: readonly TurningPoint[] = ['handover', 'split', 'steady'];

export const liesScenario: SimScenario = { name: 'lies', run: (seed) => runLies(seed) };

const usualHealAtMs = 10_000;
const recoverMs = 35_000;

export function runLies(seed: number, plan: LiesPlan = {}) {
  const prng = createPrng(seed);
  const turn = plan.turn ?? turningPoints[seed % turningPoints.length] ?? 'steady';
  const { healAtMs = usualHealAtMs } = plan;
  const { founding, liars } = liarsFor(prng, turn);
  const outsiders = Array.from({ length: 12 }, () =>
    simNodeFor(founding.anchor, founding.pace, nameFor(prng, 5)),
  );
  const joiner = simNodeFor(founding.anchor, founding.pace, nameFor(prng, 5));
  // Slow machines: key generations and handovers take seconds, during which lies arrive.
  const slow = plan.slow ?? prng.chance(0.5);
  const bounds = createBounds(new Set(liars.map(({ id }) => id)), outsiders);
  const atHealing = new Map<NodeId, bigint>();
  const guilty = new Set(liars.map(({ id }) => id));
  const honest = new Set(
    [...founding.simNodes, joiner].map(({ id }) => id).filter((id) => !guilty.has(id)),
  );
  const turnedAgainst = new Set<string>();
  const falseAdult = plan.isOneFalse === true ? adultFor(founding, liars, 'oldest') : undefined;
  const { story, sent } = withAdversary(
    {
      founding,
      faults: {
        ...faultyNetwork,
        crashProbability: 0.0002,
        // Cut links last to the healing. Three that last for a silence limit, and two lying elders, are five
        // who may remove a member.
        ...(healAtMs > usualHealAtMs ? { cutProbability: 0 } : {}),
        computeMs: slow ? [0, 300] : [0, 20],
        ...(turn === 'split' ? {} : { slowMs: lateAdult(founding, liars) }),
      },
      shellMs: slow ? 600 : 0,
      healAtMs,
      endAtMs: healAtMs + recoverMs,
      machine: bounds.watched(plan.machine ?? sectionNode),
      ...(plan.compute === undefined ? {} : { compute: plan.compute }),
      isOver: (nodes) => shortfall({ nodes }, turn, atHealing).length === 0,
      externalEvents: [
        ...wanting(founding),
        ...(falseAdult === undefined ? [] : accusing(founding, falseAdult)),
        {
          atMs: 1_000 + prng.below(3_000),
          do: (api) => {
            const guide = api.nodes().find(({ state }) => state.own !== null);
            if (guide !== undefined) joinNode(api, joiner, guide);
          },
        },
        {
          atMs: healAtMs,
          do: (api) => {
            for (const { id, state } of api.nodes()) {
              atHealing.set(id, state.own?.state.authority.generation ?? 0n);
            }
          },
        },
      ],
      watch: ({ node, outputs }) => {
        bounds.sample(node);
        if (node.honest)
          for (const output of outputs) {
            noteTurningPoint(output, honest, falseAdult?.id, turnedAgainst);
          }
      },
    },
    {
      liars,
      outsiders,
      everyMs: 40,
      changed: 0.1,
      ...(plan.about === undefined ? {} : { about: plan.about }),
    },
    seed,
  );
  try {
    const { report, violations } = runSectionStory(story, seed);
    const missing = shortfall(report, turn, atHealing);
    return {
      events: report.events,
      violations: [...new Set([...violations, ...bounds.violations]), ...turnedAgainst, ...missing],
      undelivered: missing.length,
      trace: report.trace,
      nodes: report.nodes,
      sent,
      bounds,
    };
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const threw = `a step threw: ${what.split('\n').slice(0, 6).join(' | ')}`;
    return {
      events: 0,
      violations: [threw, ...bounds.violations],
      undelivered: 0,
      trace: [],
      nodes: [],
      sent,
      bounds,
    };
  }
}

/** Records decisions of the section against honest members. */
function noteTurningPoint(
  output: SectionNodeOutput,
  honest: ReadonlySet<NodeId>,
  mayBeDemoted: NodeId | undefined,
  noted: Set<string>,
): void {
  if (output.kind !== 'sectionEvents') return;
  for (const event of output.events) {
    if (event.kind !== 'left' && event.kind !== 'demoted') continue;
    const id = nameToId(event.name);
    if (event.kind === 'demoted' && id === mayBeDemoted) continue;
    if (honest.has(id)) noted.add(`an honest member has ${event.kind}: ${id.slice(0, 4)}`);
  }
}

interface Cast {
  readonly founding: SectionFounding;
  readonly liars: readonly SimNode[];
}

/** At most two liars among the elders, and at most two among the candidates for the next key. */
function liarsFor(prng: Prng, turn: TurningPoint): Cast {
  const section = foundingFor(prng, turn);
  const { elders } = section;
  const first = prng.pick(elders);
  const second = prng.pick(elders.filter((each) => each !== first));
  const adults = section.simNodes.filter((each) => !elders.includes(each));
  // The youngest is no candidate, so that at most two candidates lie.
  const adult = [...adults].sort((a, b) => (a.name[31] ?? 0) - (b.name[31] ?? 0))[0];
  return { founding: section, liars: [first, second, ...(adult === undefined ? [] : [adult])] };
}

function foundingFor(prng: Prng, turn: TurningPoint): SectionFounding {
  if (turn === 'split') {
    const bits = Array.from({ length: 30 }, (_, at) => (at % 2 === 0 ? '0' : '1'));
    const ages = bits.map((_, at) => (at < 7 ? 8 : at > 27 ? 5 : 6 + prng.below(2)));
    const pace = { ...usualSectionPace, roundMs: 2_000, graceRounds: 8 };
    return foundSection(prng, ages, pace, (at) => bits[at] ?? '', { vacancies: 8 });
  }
  // Two adults are older than two elders: a key generation opens immediately.
  const ages =
    turn === 'handover' ? [9, 9, 9, 9, 9, 6, 6, 8, 8, 7, 7, 5] : Array<number>(12).fill(8);
  return foundSection(prng, [...ages.slice(0, 11), 5], usualSectionPace, () => '', {
    vacancies: 2,
  });
}

/** One honest adult answers each ping only after the next round has begun. It is no candidate. */
function lateAdult(founding: SectionFounding, liars: readonly SimNode[]) {
  const youngest = adultFor(founding, liars, 'youngest');
  return new Map(
    youngest === undefined ? [] : [[youngest.id, 1.5 * founding.pace.roundMs] as const],
  );
}

function adultFor(
  { simNodes, elders }: SectionFounding,
  liars: readonly SimNode[],
  which: 'oldest' | 'youngest',
): SimNode | undefined {
  const adults = simNodes.filter((each) => !elders.includes(each) && !liars.includes(each));
  const byAge = [...adults].sort((a, b) => (a.name[31] ?? 0) - (b.name[31] ?? 0));
  return byAge.at(which === 'youngest' ? 0 : -1);
}

/** Repeated reports by the shells of honest elders against it. */
const accusing = ({ simNodes }: SectionFounding, { name }: SimNode) =>
  Array.from({ length: 8 }, (_, at) => ({
    atMs: 6_000 + at * 1_000,
    do: (api: SectionApi) => {
      for (const { id, state } of api.nodes()) {
        if (state.pendingGeneration === null || !simNodes.some((each) => each.id === id)) continue;
        api.input(id, { kind: 'misbehaved', name, issue: 'provable' }, 1);
      }
    },
  }));

/**
 * Honest elders change the wanted vacancies every two seconds: there is always something to decide.
 */
const wanting = ({ simNodes }: SectionFounding) =>
  Array.from({ length: 20 }, (_, at) => ({
    atMs: 2_000 + at * 2_000,
    do: (api: SectionApi) => {
      for (const { id, state } of api.nodes()) {
        if (state.pendingGeneration === null || !simNodes.some((each) => each.id === id)) continue;
        api.input(id, { kind: 'setVacancies', vacancies: 4 + (at % 8) }, 1);
      }
    },
  }));

/** Progress missing after the network has healed, with or without lies. */
function shortfall(
  report: NodeViews,
  turn: TurningPoint,
  atHealing: ReadonlyMap<NodeId, bigint>,
): readonly string[] {
  const views = livingNodes(report);
  const members = views.filter(({ state }) => state.wasMember);
  const still = members.filter(({ id, state }) => {
    const now = state.own?.state.authority.generation ?? 0n;
    return now <= (atHealing.get(id) ?? 0n);
  });
  const turned = members.filter(({ state }) => {
    const authority = state.own?.state.authority;
    if (authority === undefined) return true;
    if (turn === 'split') return authority.prefix.bitCount === 0;
    return turn === 'handover' && authority.epoch === 0n;
  });
  return [
    ...checkUpToDate(report),
    ...checkElders(report),
    ...still.slice(0, 1).map((view) => `nothing is decided any more: ${describeNode(view)}`),
    ...turned.slice(0, 1).map((view) => `no new key: ${describeNode(view)}`),
    ...lostMembers(report).slice(0, 1),
  ];
}

/** A membership lost without a decision: no member was voted out, but one is missing. */
function lostMembers(report: NodeViews): readonly string[] {
  return livingNodes(report).flatMap((view) => {
    const { state, id } = view;
    if (!state.wasMember) return [];
    const isMember = state.own?.state.authority.members.some(({ name }) => nameToId(name) === id);
    return isMember === true ? [] : [`an honest member is out: ${describeNode(view)}`];
  });
}
