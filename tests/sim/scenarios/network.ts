/**
 * A network that makes itself: one founding section opens places, nodes come, die and move, and
 * every split happens because both halves became big enough (N26). Mild weather, slow rounds.
 */
import { matches } from '#address/prefix.ts';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { createPrng, type Prng } from '../prng.ts';
import {
  arrive,
  checkElders,
  checkUpToDate,
  found,
  hintsOf,
  living,
  nameFor,
  personFor,
  quiet,
  standing,
  tell,
  ticketOf,
  type Pace,
  type SectionApi,
  type SectionView,
} from '../section-world.ts';
import type { Faults } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const minute = 60_000;

export interface NetworkPlan {
  readonly founders: number;
  /** Members in the end, those that come to replace the dead included. */
  readonly target: number;
  /** Every part of the name space is split at least so often in the end. */
  readonly depth: number;
  readonly growMs: number;
  readonly healAtMs: number;
  readonly endAtMs: number;
  /** Mean time between two deaths anywhere, once the network has grown to a third. */
  readonly deathEveryMs: number;
  readonly pace: Pace;
}

/** A thousand nodes and an hour: a matter of minutes. */
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
  ...quiet,
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
  readonly told: {
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

const isMember = ({ id, state, stopped }: SectionView): boolean =>
  !stopped && state.own?.state.authority.members.some(({ name }) => nameToId(name) === id) === true;

export function runNetwork(seed: number, plan: NetworkPlan): NetworkOutcome {
  const prng = createPrng(seed ^ 0x2e7);
  const bitsOf = (at: number): string => reversed(at, 8);
  const ages = Array.from({ length: plan.founders }, (_, at) => (at < 7 ? 12 : 6));
  const founding = found(prng, ages, plan.pace, bitsOf, { places: 8 });
  const keys = new Set<string>();
  const counts = { joined: 0, died: 0, moved: 0, generations: 0 };
  const generations = new Set<string>();
  let named = plan.founders;

  const newcomer = (api: SectionApi): void => {
    const person = personFor(founding.anchor, plan.pace, nameFor(prng, 5, bitsOf(named++)));
    const teacher = teacherFor(api, person.name, prng);
    if (teacher === undefined) return;
    counts.joined += 1;
    arrive(api, person, teacher);
  };

  const deeds: { atMs: number; do: (api: SectionApi) => void }[] = [];
  for (let at = plan.founders; at < plan.target; at++) {
    const atMs = 5_000 + ((at - plan.founders) * plan.growMs) / (plan.target - plan.founders);
    deeds.push({ atMs, do: newcomer });
  }
  const deathsFrom = plan.growMs / 3;
  for (let atMs = deathsFrom; atMs < plan.healAtMs - 2 * minute;) {
    atMs += 1 + prng.below(2 * plan.deathEveryMs);
    deeds.push({
      atMs,
      do: (api) => {
        const victim = mortal(api, prng);
        if (victim === undefined) return;
        api.stop(victim);
        counts.died += 1;
        newcomer(api);
      },
    });
  }
  // A node whose knowledge of its section grew old asks a join point again.
  for (let atMs = minute; atMs < plan.endAtMs; atMs += minute) {
    deeds.push({ atMs, do: (api) => teachAgain(api, founding.anchor, prng) });
  }

  const beganAt = performance.now();
  const { report, violations } = tell(
    {
      founding,
      faults: mild,
      healAtMs: plan.healAtMs,
      endAtMs: plan.endAtMs,
      deeds,
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
          if (output.standing !== 'elder') continue;
          const places = ledger.places < 3 ? 24 : null;
          if (node.state.opinions.places !== places) {
            api.input(node.id, { kind: 'placesWanted', places }, 5);
          }
        }
      },
    },
    seed,
  );
  const seconds = (performance.now() - beganAt) / 1_000;

  const members = living(report).filter(isMember);
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
  const outside = living(report).filter((view) => !isMember(view));
  const lost = outside.filter(({ state }) => (state.joining?.ticket ?? null) !== null);
  return {
    events: report.events,
    violations: [
      ...violations,
      ...checkUpToDate(report),
      ...checkElders(report),
      ...(covered === 1 ? [] : [`the sections cover ${covered} of all names`]),
      ...(shallow === 0 ? [] : [`${shallow} sections have not split ${plan.depth} times`]),
      ...lost.slice(0, 1).map((view) => `moved nowhere: ${standing(view)}`),
    ],
    undelivered: outside.length,
    told: {
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

/** Somebody who lives in the section that covers this name; else anybody. */
function teacherFor(api: SectionApi, name: Uint8Array, prng: Prng): SectionView | undefined {
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

/** Whoever waits to come in, and who lost even that to a crash: its shell asks again at every start. */
function teachAgain(api: SectionApi, anchor: TrustAnchor, prng: Prng): void {
  for (const view of api.nodes()) {
    const { joining, own } = view.state;
    const isOutside = joining !== null || own === null;
    if (!view.up || view.stopped || !isOutside || isMember(view)) continue;
    const name = toXorName(Uint8Array.from(Buffer.from(view.id, 'hex')));
    const teacher = teacherFor(api, name, prng);
    if (teacher === undefined) continue;
    const ticket = joining?.ticket ?? ticketOf(api, view.id);
    for (const hint of hintsOf({ anchor, name }, teacher.state)) api.input(view.id, hint, 1);
    api.input(view.id, { kind: 'join', ticket }, 60);
  }
}

/** Whom the world may lose: an adult, or an elder whose six colleagues are all there. */
function mortal(api: SectionApi, prng: Prng): NodeId | undefined {
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

/** The lowest bits of a number, the last one first: names that fill every prefix alike. */
const reversed = (value: number, bits: number): string =>
  [...(value % 2 ** bits).toString(2).padStart(bits, '0')].reverse().join('');

export const networkScenario: SimScenario = {
  name: 'network',
  run: (seed) => {
    const { events, violations, undelivered, told } = runNetwork(seed, bigPlan);
    console.log(JSON.stringify(told));
    return { events, violations, undelivered };
  },
};
