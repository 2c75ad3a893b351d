/**
 * Goal: whoever is slow is there (N40): only a member that sends nothing at all is taken for gone, and
 * nobody makes a removal of what the others hold to be a demotion (N7).
 * Method: one elder by hand; whole sections in the simulator with a straggler and with a lying elder;
 * the same with the rule taken out.
 */
import { expect, test, vi } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import type { Event } from '#core/machine.ts';
import { decodeActBody } from '#protocol/membership/index.ts';
import { bindLedger, encodeSealedState } from '#protocol/section/index.ts';
import {
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { createPrng } from '../../sim/prng.ts';
import type { SectionMachine } from '../../sim/section-check.ts';
import { edited, endorseTo } from '../../sim/section-mutants.ts';
import {
  found,
  personFor,
  rough,
  tell,
  usualPace,
  type SectionApi,
} from '../../sim/section-world.ts';
import { genesis, sign } from '../section/network.ts';

vi.setConfig({ testTimeout: 60_000 });

const context = { now: 0, entropy: new Uint8Array(32) };

/** One elder of a section of seven elders and six adults. */
function elderByHand() {
  const born = genesis('late', 6);
  const { elders, members, key } = born.state.authority;
  const { config, id: self } = personFor(born.anchor, usualPace, toXorName(elders[0]?.name ?? key));
  const bound = bindLedger(born.state);
  const { signature, chain } = sign({ ...born, state: bound });
  const sealed = encodeSealedState({ state: bound, signature, chain });
  const share = { kind: 'share', key, secretShare: new Uint8Array(32).fill(1), index: 1 } as const;
  let state: SectionNodeState = sectionNode.start(
    config,
    [{ kind: 'sealed', sealed }, share],
    context,
  ).state;
  return {
    ids: members.map(({ name }) => nameToId(name)).filter((id) => id !== self),
    state: () => state,
    round: () => {
      state = sectionNode.step(
        config,
        state,
        { kind: 'timerFired', timer: 'round' },
        context,
      ).state;
      return state.round;
    },
    hear: (from: string, payload: NodePayload) => {
      const message = { key, generation: 0n, payload };
      state = sectionNode.step(config, state, { kind: 'received', from, message }, context).state;
    },
  };
}

test('a member that answers every ping one round late is not held to be gone', () => {
  const { ids, hear, round, state } = elderByHand();
  const slow = ids.at(-1) ?? '';
  for (let n = 0; n < 30; n++) {
    const now = round();
    for (const id of ids) hear(id, { kind: 'pong', round: id === slow ? now - 1 : now });
  }
  expect(state().opinions).toMatchObject({ gone: [], faulty: [] });
});

test('a member that answers no ping and works is not held to be gone, and one that is silent is', () => {
  const { ids, hear, round, state } = elderByHand();
  const [working = '', silent = ''] = ids.slice(-2);
  for (let n = 0; n < 30; n++) {
    const now = round();
    for (const id of ids) {
      if (id === working) hear(id, { kind: 'ping', round: 3 });
      else if (id !== silent) hear(id, { kind: 'pong', round: now });
    }
  }
  expect(state().opinions.gone.map(nameToId)).toEqual([silent]);
});

test('a stranger that sends is heard from, and counts for nothing', () => {
  const { hear, round, state } = elderByHand();
  const now = round();
  hear('ab'.repeat(32), { kind: 'pong', round: now });
  expect(state().answered.size).toBe(0);
});

/** @returns who left and who was demoted, by position in the founding; the members that are slow live. */
function lifeWith(
  seed: number,
  slowOnes: readonly number[],
  machine: SectionMachine = sectionNode,
) {
  const founding = found(
    createPrng(seed),
    Array.from({ length: 14 }, (_, at) => (at < 7 ? 9 : 5)),
  );
  const slowMs = new Map(
    slowOnes.map((at) => [founding.people[at]?.id ?? '', 4 * usualPace.roundMs] as const),
  );
  const events: string[] = [];
  const placeOf = (name: Uint8Array): number =>
    founding.people.findIndex(({ id }) => id === nameToId(toXorName(name)));
  const { violations } = tell(
    {
      founding,
      machine,
      faults: { ...rough, crashProbability: 0, slowMs },
      healAtMs: 40_000,
      endAtMs: 60_000,
      watch: ({ outputs }) => {
        for (const output of outputs) {
          if (output.kind !== 'happened') continue;
          for (const event of output.events) {
            if (event.kind === 'left' || event.kind === 'demoted') {
              events.push(`${event.kind} ${placeOf(event.name)}`);
            }
          }
        }
      },
    },
    seed,
  );
  return { violations, events: [...new Set(events)] };
}

test.each([1, 2, 3])('whoever answers four rounds late, adult or elder, stays, seed %i', (seed) => {
  expect(lifeWith(seed, [3, 9])).toEqual({ violations: [], events: [] });
});

test('planted bug: where only a pong of the present round counts the straggler is voted out', () => {
  const punctual: SectionMachine = {
    start: sectionNode.start,
    step: (config, state, event, now) => {
      const step = sectionNode.step(config, state, event, now);
      if (event.kind !== 'received') return step;
      const { payload } = event.message;
      if (payload.kind === 'pong' && payload.round === state.round) return step;
      return { ...step, state: { ...step.state, answered: state.answered } };
    },
  };
  expect(lifeWith(1, [9], punctual).events).toContain('left 9');
});

/** Of which kind is the act that this message endorses? */
function endorsedKind(event: Event<SectionNode> | null): string | null {
  if (event?.kind !== 'received' || event.message.payload.kind !== 'endorse') return null;
  const body = decodeActBody(event.message.payload.body);
  return body.ok ? body.value.kind : null;
}

/** All elders but the first see an adult give false bytes; the first asks for more than a demotion. */
function accusedBy(seed: number, honest: SectionMachine) {
  const founding = found(
    createPrng(seed),
    Array.from({ length: 14 }, (_, at) => (at < 7 ? 9 : 5)),
  );
  const [liar, ...elders] = founding.elders;
  const accused = founding.people[9];
  if (accused === undefined || liar === undefined) throw new Error('fourteen people');
  const name = toXorName(accused.name);
  const report = (api: SectionApi): void => {
    for (const { id } of elders) {
      api.input(id, { kind: 'misbehaved', name, issue: 'falsehood' }, 1);
    }
  };
  const asksForMore = edited((step, config, _before, event) => {
    const { desk } = step.state;
    if (endorsedKind(event) !== 'demote' || desk === null || desk.agreement === null) return step;
    return endorseTo(step, config, desk.share.index, { kind: 'leave', name });
  });
  const events = new Set<string>();
  const { violations } = tell(
    {
      founding,
      machine: {
        start: honest.start,
        step: (config, ...rest) =>
          (config.self === liar.id ? asksForMore : honest).step(config, ...rest),
      },
      faults: { ...rough, crashProbability: 0 },
      healAtMs: 20_000,
      endAtMs: 40_000,
      deeds: [0, 1, 2].map((n) => ({ atMs: 9_000 + n * 1_500, do: report })),
      watch: ({ outputs }) => {
        for (const output of outputs) {
          if (output.kind !== 'happened') continue;
          for (const event of output.events) {
            if (event.kind === 'left' || event.kind === 'demoted') {
              events.add(`${event.kind} ${nameToId(event.name) === accused.id}`);
            }
          }
        }
      },
    },
    seed,
  );
  return { violations, events: [...events] };
}

test.each([1, 2])(
  'who deserves a demotion is demoted, whatever one elder asks for, seed %i',
  (seed) => {
    expect(accusedBy(seed, sectionNode)).toEqual({ violations: [], events: ['demoted true'] });
  },
);

test('planted bug: where elders endorse whatever is asked for a member that stands out it is removed', () => {
  const agreesToAll = edited((step, config, _before, event) => {
    const { desk, opinions } = step.state;
    if (endorsedKind(event) !== 'demote' || desk === null || desk.agreement === null) return step;
    const faulty = opinions.faulty.map(nameToId);
    const asked = [...desk.endorsements.values()].find(
      ({ body }) => body.kind === 'leave' && faulty.includes(nameToId(body.name)),
    );
    return asked === undefined ? step : endorseTo(step, config, desk.share.index, asked.body);
  });
  const seen = [1, 2, 3].flatMap((seed) => accusedBy(seed, agreesToAll).events);
  expect(seen).toContain('left true');
});
