/**
 * Goal: slow members count as present (N40): only a member that sends nothing is accused as gone, and no
 * elder can turn a demotion that the others support into a removal (N7).
 * Method: one elder by hand; whole sections in the simulator with a straggler and with a lying elder; the
 * same with the rule removed.
 */
import { expect, test, vi } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import type { Event } from '#core/machine.ts';
import { decodeActBody } from '#protocol/membership/index.ts';
import { withLedgerRoot, encodeSealedState } from '#protocol/section/index.ts';
import {
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { createPrng } from '../../../sim/prng.ts';
import type { SectionMachine } from '../../../sim/section/section-check.ts';
import { edited, endorseTo } from '../../../sim/section/section-mutants.ts';
import {
  foundSection,
  simNodeFor,
  faultyNetwork,
  runSectionStory,
  usualSectionPace,
  type SectionApi,
} from '../../../sim/section/section-world.ts';
import { genesis, sign } from '../../section/network.ts';

vi.setConfig({ testTimeout: 60_000 });

const context = { now: 0, entropy: new Uint8Array(32) };

/** One elder of a section of seven elders and six adults. */
function elderByHand() {
  const born = genesis('late', 6);
  const { elders, members, key } = born.state.authority;
  const { config, id: self } = simNodeFor(
    born.anchor,
    usualSectionPace,
    toXorName(elders[0]?.name ?? key),
  );
  const bound = withLedgerRoot(born.state);
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
        { kind: 'timerFired', timer: { kind: 'pingRound' } },
        context,
      ).state;
      return state.pingRound;
    },
    receive: (from: string, payload: NodePayload) => {
      const message = { key, generation: 0n, payload };
      state = sectionNode.step(config, state, { kind: 'received', from, message }, context).state;
    },
  };
}

test('N40: every pong one round late → not gone', () => {
  const { ids, receive, round, state } = elderByHand();
  const slow = ids.at(-1) ?? '';
  for (let n = 0; n < 30; n++) {
    const now = round();
    for (const id of ids) receive(id, { kind: 'pong', round: id === slow ? now - 1 : now });
  }
  expect(state().observations).toMatchObject({ gone: [], faulty: [] });
});

test('N40: other messages instead of pongs → not gone; no messages → gone', () => {
  const { ids, receive, round, state } = elderByHand();
  const [working = '', silent = ''] = ids.slice(-2);
  for (let n = 0; n < 30; n++) {
    const now = round();
    for (const id of ids) {
      if (id === working) receive(id, { kind: 'ping', round: 3 });
      else if (id !== silent) receive(id, { kind: 'pong', round: now });
    }
  }
  expect(state().observations.gone.map(nameToId)).toEqual([silent]);
});

test('messages of an unknown peer are handled and count for no member', () => {
  const { receive, round, state } = elderByHand();
  const now = round();
  receive('ab'.repeat(32), { kind: 'pong', round: now });
  expect(state().respondedPeers.size).toBe(0);
});

/** @param late positions of members that answer late. @returns members that left or were demoted, by position */
function lifeWith(
  seed: number,
  slowOnes: readonly number[],
  machine: SectionMachine = sectionNode,
) {
  const founding = foundSection(
    createPrng(seed),
    Array.from({ length: 14 }, (_, at) => (at < 7 ? 9 : 5)),
  );
  const slowMs = new Map(
    slowOnes.map((at) => [founding.simNodes[at]?.id ?? '', 4 * usualSectionPace.roundMs] as const),
  );
  const events: string[] = [];
  const placeOf = (name: Uint8Array): number =>
    founding.simNodes.findIndex(({ id }) => id === nameToId(toXorName(name)));
  const { violations } = runSectionStory(
    {
      founding,
      machine,
      faults: { ...faultyNetwork, crashProbability: 0, slowMs },
      healAtMs: 40_000,
      endAtMs: 60_000,
      watch: ({ outputs }) => {
        for (const output of outputs) {
          if (output.kind !== 'sectionEvents') continue;
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

test.each([1, 2, 3])(
  'N40: an adult or elder that answers four rounds late stays, seed %i',
  (seed) => {
    expect(lifeWith(seed, [3, 9])).toEqual({ violations: [], events: [] });
  },
);

test('planted bug: only a pong of the current round counts → the straggler is voted out', () => {
  const punctual: SectionMachine = {
    start: sectionNode.start,
    step: (config, state, event, now) => {
      const step = sectionNode.step(config, state, event, now);
      if (event.kind !== 'received') return step;
      const { payload } = event.message;
      if (payload.kind === 'pong' && payload.round === state.pingRound) return step;
      return { ...step, state: { ...step.state, respondedPeers: state.respondedPeers } };
    },
  };
  expect(lifeWith(1, [9], punctual).events).toContain('left 9');
});

/** The kind of the act that this message endorses. */
function endorsedKind(event: Event<SectionNode> | null): string | null {
  if (event?.kind !== 'received' || event.message.payload.kind !== 'endorse') return null;
  const body = decodeActBody(event.message.payload.body);
  return body.ok ? body.value.kind : null;
}

/** All elders but the first see an adult serve false bytes; the first requests its removal. */
function accusedBy(seed: number, honest: SectionMachine) {
  const founding = foundSection(
    createPrng(seed),
    Array.from({ length: 14 }, (_, at) => (at < 7 ? 9 : 5)),
  );
  const [liar, ...elders] = founding.elders;
  const accused = founding.simNodes[9];
  if (accused === undefined || liar === undefined) throw new Error('fourteen people');
  const name = toXorName(accused.name);
  const report = (api: SectionApi): void => {
    for (const { id } of elders) {
      api.input(id, { kind: 'misbehaved', name, issue: 'provable' }, 1);
    }
  };
  const asksForMore = edited((step, config, _before, event) => {
    const { pendingGeneration } = step.state;
    if (
      endorsedKind(event) !== 'demote' ||
      pendingGeneration === null ||
      pendingGeneration.agreement === null
    )
      return step;
    return endorseTo(step, config, pendingGeneration.share.index, { kind: 'leave', name });
  });
  const events = new Set<string>();
  const { violations } = runSectionStory(
    {
      founding,
      machine: {
        start: honest.start,
        step: (config, ...rest) =>
          (config.self === liar.id ? asksForMore : honest).step(config, ...rest),
      },
      faults: { ...faultyNetwork, crashProbability: 0 },
      healAtMs: 20_000,
      endAtMs: 40_000,
      externalEvents: [0, 1, 2].map((n) => ({ atMs: 9_000 + n * 1_500, do: report })),
      watch: ({ outputs }) => {
        for (const output of outputs) {
          if (output.kind !== 'sectionEvents') continue;
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
  'N7: a faulty member is demoted, whatever one elder requests, seed %i',
  (seed) => {
    expect(accusedBy(seed, sectionNode)).toEqual({ violations: [], events: ['demoted true'] });
  },
);

test('planted bug: elders endorse any act against a suspect → it is removed', () => {
  const agreesToAll = edited((step, config, _before, event) => {
    const { pendingGeneration, observations } = step.state;
    if (
      endorsedKind(event) !== 'demote' ||
      pendingGeneration === null ||
      pendingGeneration.agreement === null
    )
      return step;
    const faulty = observations.faulty.map(nameToId);
    const asked = [...pendingGeneration.endorsements.values()].find(
      ({ body }) => body.kind === 'leave' && faulty.includes(nameToId(body.name)),
    );
    return asked === undefined
      ? step
      : endorseTo(step, config, pendingGeneration.share.index, asked.body);
  });
  const seen = [1, 2, 3].flatMap((seed) => accusedBy(seed, agreesToAll).events);
  expect(seen).toContain('left true');
});
