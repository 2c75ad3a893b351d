/** Members whose lot is drawn take a ticket, a new name and a year more to their new place (N36–N38). */
import { ageOf, nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { newNameBytes } from '#protocol/membership/index.ts';
import { ticketId } from '#protocol/section/index.ts';
import { toyCurves } from '../curves.ts';
import { createPrng } from '../prng.ts';
import {
  arrive,
  arriveAgain,
  checkElders,
  checkUpToDate,
  found,
  living,
  personFor,
  rough,
  standing,
  tell,
  usualPace,
  type Nodes,
  type SectionApi,
} from '../section-world.ts';
import { drawLiars, meddlingAdult, withLiars } from '../section-lies.ts';
import type { HandoverPlan } from './handover.ts';
import type { SimScenario } from './scenario.ts';

export const relocationScenario: SimScenario = {
  name: 'relocation',
  run: (seed) => runRelocation(seed),
};

/** Ten come and some have to move; among them one with a false age, one that nobody can reach, a meddler. */
export function runRelocation(seed: number, plan: HandoverPlan = {}) {
  const prng = createPrng(seed);
  const members = 16 + prng.below(5);
  const ages = Array.from({ length: members }, (_, at) => (at < 7 ? 9 : 5));
  const { curves = toyCurves } = plan;
  const pace = { ...usualPace, roundMs: 2_000, graceRounds: 8 };
  const founding = found(prng, ages, pace, () => '', { places: 24 }, { curves });
  const joiners = Array.from({ length: 10 }, () =>
    personFor(founding.anchor, pace, curves.nameFor(prng, 5), curves),
  );
  const consumedBy = new Map<string, string>();
  const wrong: string[] = [];
  const twins = new Set<string>();
  const liars = drawLiars(createPrng(seed ^ 0x11a5), founding.elders, 2, plan.lie);
  const tooOld = personFor(founding.anchor, pace, curves.nameFor(prng, 9), curves);
  const hidden = personFor(founding.anchor, pace, curves.nameFor(prng, 5), curves);
  const meddler = founding.people[7 + prng.below(members - 7)];
  const meddlers = new Map(
    meddler === undefined || (prng.chance(0.5) && plan.meddling === undefined)
      ? []
      : [[meddler.id, { person: meddler, lie: plan.meddling ?? meddlingAdult }] as const],
  );
  const strangers = [tooOld, hidden].map((person, at) => ({
    atMs: 2_000 + at * 1_000,
    do: (api: SectionApi) => {
      const teacher = api.nodes().find((node) => node.state.own !== null);
      if (teacher !== undefined) arrive(api, person, teacher);
    },
  }));
  const replayed = new Map<string, ReadonlySet<string>>();
  /** Whoever lives is a member in the end: joined, stayed, or moved in on a ticket. */
  const shortfall = (now: Nodes) => {
    const lost = living(now).filter(
      ({ id, state }) =>
        !state.wasMember &&
        ![tooOld.id, hidden.id].includes(id) &&
        // N39: a section that split while they came has no places before storage is needed again.
        state.joining?.refused !== 'noPlaces' &&
        // Of two under one ticket either may have come first.
        ![...replayed.values()].some((both) => both.has(id)) &&
        !twins.has(id),
    );
    const unpaid = lost.filter(({ state: { joining } }) => (joining?.ticket ?? null) !== null);
    return { lost, unpaid, faults: [...checkUpToDate(now), ...checkElders(now)] };
  };
  const { report, violations } = tell(
    withLiars(
      {
        founding,
        faults: { ...rough, crashProbability: 0.0002 },
        healAtMs: 40_000,
        endAtMs: 75_000,
        isOver: (nodes) => {
          const { lost, faults } = shortfall({ nodes });
          return lost.length + faults.length === 0;
        },
        unreachable: new Set([hidden.id]),
        ...(plan.machine === undefined ? {} : { machine: plan.machine }),
        ...(plan.compute === undefined ? {} : { compute: plan.compute }),
        deeds: [
          ...strangers,
          ...joiners.flatMap((joiner, at) => {
            const atMs = 500 + at * 3_000 + prng.below(1_000);
            const come = (api: SectionApi): void => {
              const teacher = api.nodes().find((node) => node.state.own !== null);
              if (teacher !== undefined) arrive(api, joiner, teacher);
            };
            const again = (api: SectionApi): void => arriveAgain(api, joiner);
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
              if (names.has(tooOld.id)) wrong.push('B5: a member with a false age');
              for (const both of replayed.values()) {
                if ([...both].every((id) => names.has(id)))
                  wrong.push('N38: one ticket, two members');
              }
            }
            if (output.kind === 'relocate' && (replayed.size === 0 || prng.chance(0.5))) {
              // N38: a second name under the same ticket, a little later.
              const { moving, sourceKey, sourceEpoch, signature } = output;
              const bits = [...moving.destination.slice(0, 2)]
                .map((byte) => byte.toString(2).padStart(8, '0'))
                .join('');
              const name = curves.nameFor(prng, moving.age, bits);
              const bytes = newNameBytes(founding.anchor.networkId, moving, name);
              const nameSignature = curves.suites.identity.sign(curves.seedOf(moving.name), bytes);
              const ticket = { moving, sourceKey, sourceEpoch, signature, nameSignature };
              const twin = api.nodes().at(-1);
              const person = personFor(founding.anchor, pace, name, curves);
              if (twin !== undefined) replayed.set(node.id, new Set([twin.id, person.id]));
              twins.add(person.id);
              arrive(api, person, node, ticket);
            }
            if (output.kind === 'relocate') {
              const { moving } = output;
              const grown = ageOf(moving.name) + 1;
              if (moving.reason === 'reward' && moving.age !== grown) wrong.push('wrong age');
              const id = toHex(ticketId(founding.anchor.networkId, moving));
              const before = consumedBy.get(id);
              if (before !== undefined && before !== node.id) wrong.push('a ticket for two');
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
      ...unpaid.slice(0, 1).map((view) => `moved nowhere: ${standing(view)}`),
    ],
    undelivered: lost.length,
    trace: report.trace,
    nodes: report.nodes,
    liars: [...liars.values()].map(({ lie }) => lie.name),
  };
}
