/** Members whose lot is drawn take a ticket, a new name and a year more to their new place (N36–N38). */
import { ageOf } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { ticketId } from '#protocol/section/index.ts';
import { createPrng } from '../prng.ts';
import {
  arrive,
  checkElders,
  checkUpToDate,
  found,
  knowledgeOf,
  living,
  nameFor,
  personFor,
  rough,
  standing,
  tell,
  usualPace,
} from '../section-world.ts';
import type { SimScenario } from './scenario.ts';

export const relocationScenario: SimScenario = {
  name: 'relocation',
  run: (seed) => {
    const prng = createPrng(seed);
    const members = 16 + prng.below(5);
    const ages = Array.from({ length: members }, (_, at) => (at < 7 ? 9 : 5));
    const pace = { ...usualPace, roundMs: 2_000, graceRounds: 8 };
    const founding = found(prng, ages, pace, () => '', { places: 24 });
    const joiners = Array.from({ length: 10 }, () =>
      personFor(founding.anchor, pace, nameFor(prng, 5)),
    );
    const consumedBy = new Map<string, string>();
    const wrong: string[] = [];
    const { report, violations } = tell(
      {
        founding,
        faults: { ...rough, crashProbability: 0.0002 },
        healAtMs: 40_000,
        endAtMs: 75_000,
        deeds: joiners.map((joiner, at) => ({
          atMs: 500 + at * 3_000 + prng.below(1_000),
          do: (api) => {
            const teacher = api.nodes().find((node) => node.state.own !== null);
            if (teacher !== undefined) arrive(api, joiner, knowledgeOf(teacher));
          },
        })),
        watch: ({ node, outputs }) => {
          for (const output of outputs) {
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
      seed,
    );
    // Whoever lives is a member in the end: joined, stayed, or moved in on a ticket.
    const outside = living(report).filter(({ state }) => !state.wasMember);
    const unpaid = outside.filter(
      ({ state }) => state.joining !== null && state.joining.ticket !== null,
    );
    return {
      events: report.events,
      violations: [
        ...violations,
        ...wrong,
        ...checkUpToDate(report),
        ...checkElders(report),
        ...unpaid.slice(0, 1).map((view) => `moved nowhere: ${standing(view)}`),
      ],
      undelivered: outside.length,
    };
  },
};
