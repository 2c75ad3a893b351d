/**
 * A network that grows on its own: one founding section opens vacancies, nodes join, fail and
 * relocate, and every split happens because both halves became big enough (N26). Few faults, slow
 * rounds.
 */
import { matches } from '#address/prefix.ts';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { createPrng, type Prng } from '../prng.ts';
import {
  joinNode,
  checkElders,
  checkUpToDate,
  foundSection,
  hintsOf,
  livingNodes,
  nameFor,
  simNodeFor,
  faultlessNetwork,
  describeNode,
  runSectionStory,
  relocationCertificateOf,
  type SectionPace,
  type SectionApi,
  type SectionNodeView,
} from '../section/section-world.ts';
import type { Faults } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const minute = 60_000;

export interface NetworkPlan {
  readonly founders: number;
  /** Number of members at the end, including replacements of failed ones. */
  readonly target: number;
  /** Minimum length of all prefixes at the end. */
  readonly depth: number;
  readonly growMs: number;
  readonly healAtMs: number;
  readonly endAtMs: number;
  /** Mean time between two failures anywhere, once the network has grown to a third. */
  readonly deathEveryMs: number;
  readonly pace: SectionPace;
}

/** A thousand nodes and one hour: takes minutes. */
export const bigPlan: NetworkPlan = {
  founders: 20,
  target: 1_000,
  depth: 5,
  growMs: 40 * minute,
  healAtMs: 60 * minute,
  endAtMs: 66 * minute,
  deathEveryMs: 30_000,
  pace: { paceMs: 1_000, roundMs: 30_000, graceRounds: 4 },
};

export const smallPlan: NetworkPlan = {
  founders: 16,
  target: 120,
  depth: 2,
  growMs: 8 * minute,
  healAtMs: 14 * minute,
  endAtMs: 18 * minute,
  deathEveryMs: 60_000,
  pace: { paceMs: 800, roundMs: 15_000, graceRounds: 4 },
};

const mild: Faults = {
  ...faultlessNetwork,
  latencyMs: [10, 120],
  dropProbability: 0.005,
  duplicateProbability: 0.005,
  crashProbability: 0.000_01,
  restartAfterMs: [500, 20_000],
  cutProbability: 0.000_1,
  computeMs: [0, 30],
  straggle: { probability: 0.005, upToMs: 2_000 },
};

export interface NetworkOutcome {
  readonly events: number;
  readonly violations: readonly string[];
  readonly undelivered: number;
  readonly summary: {
    readonly members: number;
    readonly sections: number;
    readonly depth: readonly number[];
    readonly epochs: number;
    readonly generations: number;
    readonly messages: number;
    readonly joined: number;
    readonly died: number;
    readonly moved: number;
    readonly eventsPerSecond: number;
  };
}

const isMember = ({ id, state, stopped }: SectionNodeView): boolean =>
  !stopped && state.own?.state.authority.members.some(({ name }) => nameToId(name) === id) === true;

export function runNetwork(seed: number, plan: NetworkPlan): NetworkOutcome {
  const prng = createPrng(seed ^ 0x2e7);
  const bitsOf = (at: number): string => reversed(at, 8);
  const ages = Array.from({ length: plan.founders }, (_, at) => (at < 7 ? 12 : 6));
  const founding = foundSection(prng, ages, plan.pace, bitsOf, { vacancies: 8 });
  const keys = new Set<string>();
  const counts = { joined: 0, died: 0, moved: 0, generations: 0 };
  const generations = new Set<string>();
  let named = plan.founders;

  const newcomer = (api: SectionApi): void => {
    const simNode = simNodeFor(founding.anchor, plan.pace, nameFor(prng, 5, bitsOf(named++)));
    const guide = guideFor(api, simNode.name, prng);
    if (guide === undefined) return;
    counts.joined += 1;
    joinNode(api, simNode, guide);
  };

  const externalEvents: { atMs: number; do: (api: SectionApi) => void }[] = [];
  for (let at = plan.founders; at < plan.target; at++) {
    const atMs = 5_000 + ((at - plan.founders) * plan.growMs) / (plan.target - plan.founders);
    externalEvents.push({ atMs, do: newcomer });
  }
  const deathsFrom = plan.growMs / 3;
  for (let atMs = deathsFrom; atMs < plan.healAtMs - 2 * minute;) {
    atMs += 1 + prng.below(2 * plan.deathEveryMs);
    externalEvents.push({
      atMs,
      do: (api) => {
        const victim = mayFail(api, prng);
        if (victim === undefined) return;
        api.stop(victim);
        counts.died += 1;
        newcomer(api);
      },
    });
  }
  // A node with old knowledge of its section asks a join point again.
  for (let atMs = minute; atMs < plan.endAtMs; atMs += minute) {
    externalEvents.push({ atMs, do: (api) => resendUpdates(api, founding.anchor, prng) });
  }

  const beganAt = performance.now();
  const { report, violations } = runSectionStory(
    {
      founding,
      faults: mild,
      healAtMs: plan.healAtMs,
      endAtMs: plan.endAtMs,
      externalEvents,
      watch: ({ node, outputs }, api) => {
        for (const output of outputs) {
          if (output.kind === 'relocate') counts.moved += 1;
          if (output.kind !== 'adopted') continue;
          const { authority, ledger } = output.sealed.state;
          keys.add(toHex(authority.key));
          generations.add(`${toHex(authority.key)}/${authority.generation}`);
          if (process.env['PROGRESS'] !== undefined && !shown.has(authority.epoch)) {
            shown.add(authority.epoch);
            console.log(
              `${Math.round(api.nowMs / 1000)} s: epoch ${authority.epoch}, ${api.nodes().length} nodes, ${keys.size} keys, ${generations.size} generations, ${Math.round((performance.now() - beganAt) / 1000)} s real`,
            );
          }
          if (output.role !== 'elder') continue;
          const vacancies = ledger.vacancies < 3 ? 24 : null;
          if (node.state.observations.vacancies !== vacancies) {
            api.input(node.id, { kind: 'setVacancies', vacancies }, 5);
          }
        }
      },
    },
    seed,
  );
  const seconds = (performance.now() - beganAt) / 1_000;

  const members = livingNodes(report).filter(isMember);
  const depths = new Map<string, number>();
  for (const { state } of members) {
    const authority = state.own?.state.authority;
    if (authority === undefined) continue;
    const { bitCount, bits } = authority.prefix;
    depths.set(`${bitCount}/${toHex(bits)}`, bitCount);
  }
  const covered = [...depths.values()].reduce((sum, bits) => sum + 2 ** -bits, 0);
  const depth = [...depths.values()].sort((a, b) => a - b);
  const shallow = depth.filter((bits) => bits < plan.depth).length;
  const outside = livingNodes(report).filter((view) => !isMember(view));
  const lost = outside.filter(({ state }) => (state.joining?.certificate ?? null) !== null);
  return {
    events: report.events,
    violations: [
      ...violations,
      ...checkUpToDate(report),
      ...checkElders(report),
      ...(covered === 1 ? [] : [`the sections cover ${covered} of all names`]),
      ...(shallow === 0 ? [] : [`${shallow} sections have not split ${plan.depth} times`]),
      ...lost.slice(0, 1).map((view) => `moved nowhere: ${describeNode(view)}`),
    ],
    undelivered: outside.length,
    summary: {
      members: members.length,
      sections: depths.size,
      depth: [...new Set(depth)],
      epochs: keys.size,
      generations: generations.size,
      messages: report.trace.length,
      joined: counts.joined,
      died: counts.died,
      moved: counts.moved,
      eventsPerSecond: Math.round(report.events / seconds),
    },
  };
}

const shown = new Set<bigint>();

/** A member of the section that covers this name; if there is none, any member. */
function guideFor(api: SectionApi, name: Uint8Array, prng: Prng): SectionNodeView | undefined {
  const views = api.nodes().filter((view) => view.up && isMember(view));
  const inside = views.filter(({ state }) => {
    const prefix = state.own?.state.authority.prefix;
    return prefix !== undefined && matches(prefix, name);
  });
  const newest = inside.reduce((best, { state }) => {
    const generation = state.own?.state.authority.generation ?? 0n;
    return generation > best ? generation : best;
  }, 0n);
  const fresh = inside.filter(
    ({ state }) => state.own !== null && state.own.state.authority.generation === newest,
  );
  const choice = fresh.length > 0 ? fresh : views;
  return choice.length === 0 ? undefined : prng.pick(choice);
}

/**
 * The shell of a joining node, also after a crash lost its state, repeats its request at every
 * start.
 */
function resendUpdates(api: SectionApi, anchor: TrustAnchor, prng: Prng): void {
  for (const view of api.nodes()) {
    const { joining, own } = view.state;
    const isOutside = joining !== null || own === null;
    if (!view.up || view.stopped || !isOutside || isMember(view)) continue;
    const name = toXorName(Uint8Array.from(Buffer.from(view.id, 'hex')));
    const guide = guideFor(api, name, prng);
    if (guide === undefined) continue;
    const certificate = joining?.certificate ?? relocationCertificateOf(api, view.id);
    for (const hint of hintsOf({ anchor, name }, guide.state)) api.input(view.id, hint, 1);
    api.input(view.id, { kind: 'join', certificate }, 60);
  }
}

/** A node that may fail: an adult, or an elder whose six colleagues are all running. */
function mayFail(api: SectionApi, prng: Prng): NodeId | undefined {
  const views = api.nodes().filter((view) => view.up && isMember(view));
  const up = new Set(views.map(({ id }) => id));
  for (let tries = 0; tries < 20; tries++) {
    const { id, state } = prng.pick(views);
    const authority = state.own?.state.authority;
    if (authority === undefined || state.own?.state.ledger.phase.kind !== 'open') continue;
    const elders = authority.elders.map(({ name }) => nameToId(name));
    if (authority.members.length < 15) continue;
    if (!elders.includes(id) || elders.every((each) => up.has(each))) return id;
  }
  return undefined;
}

/** The lowest bits of a number in reverse order: such names fill every prefix evenly. */
const reversed = (value: number, bits: number): string =>
  [...(value % 2 ** bits).toString(2).padStart(bits, '0')].reverse().join('');

export const networkScenario: SimScenario = {
  name: 'network',
  run: (seed) => {
    const { events, violations, undelivered, summary } = runNetwork(seed, bigPlan);
    console.log(JSON.stringify(summary));
    return { events, violations, undelivered };
  },
};
