/**
 * Two of seven elders, an adult and strangers say whatever the codecs let through, all the time and on
 * top of loss and crashes: nothing throws, nobody honest is blamed or goes, no table grows, and the
 * section still decides, hands its key over or splits.
 */
import { nameToId } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import { sectionNode, type SectionNodeOutput } from '#roles/section-node/index.ts';
import { withAdversary } from '../adversary/adversary.ts';
import { createBounds } from '../adversary/bounds.ts';
import { createPrng, type Prng } from '../prng.ts';
import type { SectionMachine } from '../section-check.ts';
import {
  arrive,
  checkElders,
  checkUpToDate,
  found,
  living,
  nameFor,
  personFor,
  rough,
  standing,
  tell,
  usualPace,
  type Founding,
  type Nodes,
  type Person,
  type SectionApi,
  type Story,
} from '../section-world.ts';
import type { SimScenario } from './scenario.ts';

export interface LiesPlan {
  readonly machine?: SectionMachine;
  readonly compute?: Story['compute'];
  readonly turn?: Turn;
  readonly slow?: boolean;
  /** All honest elders see one adult, which answers every ping, give false bytes: it may be demoted, and stays. */
  readonly isOneFalse?: boolean;
  /** When the network heals: what takes many rounds to go wrong needs longer than usual. */
  readonly healAtMs?: number;
  /** Kinds of message, or of what is in them, that the liars prefer. */
  readonly about?: readonly string[];
}

/** What the section has to come through while they lie. */
export type Turn = 'handover' | 'split' | 'life';
const turns: readonly Turn[] = ['handover', 'split', 'life'];

export const liesScenario: SimScenario = { name: 'lies', run: (seed) => runLies(seed) };

const usualHealAtMs = 10_000;
const recoverMs = 35_000;

export function runLies(seed: number, plan: LiesPlan = {}) {
  const prng = createPrng(seed);
  const turn = plan.turn ?? turns[seed % turns.length] ?? 'life';
  const { healAtMs = usualHealAtMs } = plan;
  const { founding, liars } = castFor(prng, turn);
  const strangers = Array.from({ length: 12 }, () =>
    personFor(founding.anchor, founding.pace, nameFor(prng, 5)),
  );
  const joiner = personFor(founding.anchor, founding.pace, nameFor(prng, 5));
  // Slow machines: a key generation and the end of a key are open for seconds, and lies come meanwhile.
  const slow = plan.slow ?? prng.chance(0.5);
  const bounds = createBounds(new Set(liars.map(({ id }) => id)), strangers);
  const calm = new Map<NodeId, bigint>();
  const guilty = new Set(liars.map(({ id }) => id));
  const honest = new Set(
    [...founding.people, joiner].map(({ id }) => id).filter((id) => !guilty.has(id)),
  );
  const turnedAgainst = new Set<string>();
  const falseAdult = plan.isOneFalse === true ? adultFor(founding, liars, 'oldest') : undefined;
  const { story, told } = withAdversary(
    {
      founding,
      faults: {
        ...rough,
        crashProbability: 0.0002,
        computeMs: slow ? [0, 300] : [0, 20],
        ...(turn === 'split' ? {} : { slowMs: lateAdult(founding, liars) }),
      },
      shellMs: slow ? 600 : 0,
      healAtMs,
      endAtMs: healAtMs + recoverMs,
      machine: bounds.watched(plan.machine ?? sectionNode),
      ...(plan.compute === undefined ? {} : { compute: plan.compute }),
      isOver: (nodes) => shortfall({ nodes }, turn, calm).length === 0,
      deeds: [
        ...wanting(founding),
        ...(falseAdult === undefined ? [] : accusing(founding, falseAdult)),
        {
          atMs: 1_000 + prng.below(3_000),
          do: (api) => {
            const teacher = api.nodes().find(({ state }) => state.own !== null);
            if (teacher !== undefined) arrive(api, joiner, teacher);
          },
        },
        {
          atMs: healAtMs,
          do: (api) => {
            for (const { id, state } of api.nodes()) {
              calm.set(id, state.own?.state.authority.generation ?? 0n);
            }
          },
        },
      ],
      watch: ({ node, outputs }) => {
        bounds.look(node);
        if (node.honest)
          for (const output of outputs) {
            noteTurned(output, honest, falseAdult?.id, turnedAgainst);
          }
      },
    },
    {
      liars,
      strangers,
      everyMs: 40,
      changed: 0.1,
      ...(plan.about === undefined ? {} : { about: plan.about }),
    },
    seed,
  );
  try {
    const { report, violations } = tell(story, seed);
    const missing = shortfall(report, turn, calm);
    return {
      events: report.events,
      violations: [...new Set([...violations, ...bounds.violations]), ...turnedAgainst, ...missing],
      undelivered: missing.length,
      trace: report.trace,
      nodes: report.nodes,
      told,
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
      told,
      bounds,
    };
  }
}

/** What a section has decided against those who lie to nobody. */
function noteTurned(
  output: SectionNodeOutput,
  honest: ReadonlySet<NodeId>,
  mayBeDemoted: NodeId | undefined,
  noted: Set<string>,
): void {
  if (output.kind !== 'happened') return;
  for (const event of output.events) {
    if (event.kind !== 'left' && event.kind !== 'demoted') continue;
    const id = nameToId(event.name);
    if (event.kind === 'demoted' && id === mayBeDemoted) continue;
    if (honest.has(id)) noted.add(`an honest member has ${event.kind}: ${id.slice(0, 4)}`);
  }
}

interface Cast {
  readonly founding: Founding;
  readonly liars: readonly Person[];
}

/** At most two liars among the elders, and at most two among those who follow them. */
function castFor(prng: Prng, turn: Turn): Cast {
  const section = foundingFor(prng, turn);
  const { elders } = section;
  const first = prng.pick(elders);
  const second = prng.pick(elders.filter((each) => each !== first));
  const adults = section.people.filter((each) => !elders.includes(each));
  // The youngest: no candidate, so that there are two liars at the most among those.
  const adult = [...adults].sort((a, b) => (a.name[31] ?? 0) - (b.name[31] ?? 0))[0];
  return { founding: section, liars: [first, second, ...(adult === undefined ? [] : [adult])] };
}

function foundingFor(prng: Prng, turn: Turn): Founding {
  if (turn === 'split') {
    const bits = Array.from({ length: 30 }, (_, at) => (at % 2 === 0 ? '0' : '1'));
    const ages = bits.map((_, at) => (at < 7 ? 8 : at > 27 ? 5 : 6 + prng.below(2)));
    const pace = { ...usualPace, roundMs: 2_000, graceRounds: 8 };
    return found(prng, ages, pace, (at) => bits[at] ?? '', { places: 8 });
  }
  // Two adults that are older than two elders: a key generation opens at once.
  const ages =
    turn === 'handover' ? [9, 9, 9, 9, 9, 6, 6, 8, 8, 7, 7, 5] : Array<number>(12).fill(8);
  return found(prng, [...ages.slice(0, 11), 5], usualPace, () => '', { places: 2 });
}

/** One honest adult answers each ping when the next round has begun. It is no candidate. */
function lateAdult(founding: Founding, liars: readonly Person[]) {
  const youngest = adultFor(founding, liars, 'youngest');
  return new Map(
    youngest === undefined ? [] : [[youngest.id, 1.5 * founding.pace.roundMs] as const],
  );
}

function adultFor(
  { people, elders }: Founding,
  liars: readonly Person[],
  which: 'oldest' | 'youngest',
): Person | undefined {
  const adults = people.filter((each) => !elders.includes(each) && !liars.includes(each));
  const byAge = [...adults].sort((a, b) => (a.name[31] ?? 0) - (b.name[31] ?? 0));
  return byAge.at(which === 'youngest' ? 0 : -1);
}

/** What the shells of honest elders say of it, again and again. */
const accusing = ({ people }: Founding, { name }: Person) =>
  Array.from({ length: 8 }, (_, at) => ({
    atMs: 6_000 + at * 1_000,
    do: (api: SectionApi) => {
      for (const { id, state } of api.nodes()) {
        if (state.desk === null || !people.some((each) => each.id === id)) continue;
        api.input(id, { kind: 'misbehaved', name, issue: 'falsehood' }, 1);
      }
    },
  }));

/** Honest elders want another number of places every two seconds: there is always something to decide. */
const wanting = ({ people }: Founding) =>
  Array.from({ length: 20 }, (_, at) => ({
    atMs: 2_000 + at * 2_000,
    do: (api: SectionApi) => {
      for (const { id, state } of api.nodes()) {
        if (state.desk === null || !people.some((each) => each.id === id)) continue;
        api.input(id, { kind: 'placesWanted', places: 4 + (at % 8) }, 1);
      }
    },
  }));

/** What has not come although the network has healed, lies or no lies. */
function shortfall(
  report: Nodes,
  turn: Turn,
  calm: ReadonlyMap<NodeId, bigint>,
): readonly string[] {
  const views = living(report);
  const members = views.filter(({ state }) => state.wasMember);
  const still = members.filter(({ id, state }) => {
    const now = state.own?.state.authority.generation ?? 0n;
    return now <= (calm.get(id) ?? 0n);
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
    ...still.slice(0, 1).map((view) => `nothing is decided any more: ${standing(view)}`),
    ...turned.slice(0, 1).map((view) => `no new key: ${standing(view)}`),
    ...gone(report).slice(0, 1),
  ];
}

/** A membership that is lost without a decision about it: nobody was voted out, and one is missing. */
function gone(report: Nodes): readonly string[] {
  return living(report).flatMap((view) => {
    const { state, id } = view;
    if (!state.wasMember) return [];
    const isMember = state.own?.state.authority.members.some(({ name }) => nameToId(name) === id);
    return isMember === true ? [] : [`an honest member is out: ${standing(view)}`];
  });
}
