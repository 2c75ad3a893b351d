/** Messages and bytes sent by nodes, by kind, with the wire codecs and without faults. */
import { encodeNodePayload } from '#roles/wire/section-messages.ts';
import { sectionNode } from '#roles/section-node/index.ts';
import type { Corrupt } from '../world.ts';
import type { NodePayload, SectionNode } from '#roles/section-node/index.ts';
import { createPrng } from '../prng.ts';
import type { SectionMachine } from './section-check.ts';
import {
  foundSection,
  faultlessNetwork,
  runSectionStory,
  type SectionPace,
  type SectionApi,
  type SectionObservation,
} from './section-world.ts';

export interface Sent {
  readonly messages: number;
  readonly bytes: number;
}

export interface Measured {
  readonly decision: Sent;
  readonly keyGeneration: Sent;
  readonly handover: Sent;
  readonly repair: Sent;
  readonly updates: Sent;
  readonly violations: readonly string[];
  readonly events: number;
}

type Kind = NodePayload['kind'];
/** Names, key, generation, id, signature, label and length fields of an envelope. */
const envelopeBytes = 300;

function createMeter() {
  const counts = new Map<Kind, Sent>();
  const machine: SectionMachine = {
    start: (config, facts, context) => read(sectionNode.start(config, facts, context)),
    step: (config, state, event, context) => read(sectionNode.step(config, state, event, context)),
  };
  function read<S extends ReturnType<SectionMachine['start']>>(step: S): S {
    for (const effect of step.effects) {
      if (effect.kind !== 'send' || effect.to.length === 0) continue;
      const { payload } = effect.message;
      const size = encodeNodePayload(payload).length + envelopeBytes;
      const { messages, bytes } = counts.get(payload.kind) ?? { messages: 0, bytes: 0 };
      const count = effect.to.length;
      counts.set(payload.kind, { messages: messages + count, bytes: bytes + count * size });
    }
    return step;
  }
  const of = (...kinds: readonly Kind[]): Sent =>
    kinds.reduce(
      (sum, kind) => {
        const { messages, bytes } = counts.get(kind) ?? { messages: 0, bytes: 0 };
        return { messages: sum.messages + messages, bytes: sum.bytes + bytes };
      },
      { messages: 0, bytes: 0 },
    );
  return { machine, of };
}

const never = 10_000_000;
const calmPace: SectionPace = { paceMs: 400, roundMs: never, graceRounds: 6 };
const livelyPace: SectionPace = { paceMs: 400, roundMs: 1_000, graceRounds: 4 };

const agesOf = (members: number): readonly number[] =>
  Array.from({ length: members }, (_, at) => (at < 7 ? 9 : 6));

interface BudgetRun {
  readonly pace: SectionPace;
  readonly endAtMs: number;
  readonly externalEvents?: readonly {
    readonly atMs: number;
    readonly do: (api: SectionApi) => void;
  }[];
  readonly corrupt?: Corrupt<SectionNode>;
  readonly watch?: (observation: SectionObservation) => void;
}

function runBudget(members: number, plan: (ids: readonly string[]) => BudgetRun) {
  // All prefix bits equal: a section of eighty that does not split.
  const one = foundSection(createPrng(members), agesOf(members), plan([]).pace, () => '0000');
  const ids = one.elders.map(({ id }) => id);
  const { endAtMs, externalEvents = [], corrupt, watch } = plan(ids);
  const meter = createMeter();
  const end = runSectionStory(
    {
      founding: one,
      faults: faultlessNetwork,
      healAtMs: 0,
      endAtMs,
      externalEvents,
      machine: meter.machine,
      ...(corrupt === undefined
        ? {}
        : { corrupt: new Map([[one.simNodes.at(-1)?.id ?? '', corrupt]]) }),
      ...(watch === undefined ? {} : { watch }),
    },
    members,
  );
  return { ...end, of: meter.of, founding: one };
}

const wantPlaces = (ids: readonly string[], vacancies: number, atMs: number) => ({
  atMs,
  do: (api: SectionApi): void => {
    for (const id of ids) api.input(id, { kind: 'setVacancies', vacancies }, 1);
  },
});

/** One decision of seven elders, received by all. */
export function measureDecision(members: number) {
  const story = runBudget(members, (ids) => ({
    pace: calmPace,
    endAtMs: 3_000,
    externalEvents: [wantPlaces(ids, 5, 0)],
  }));
  const decided = story.report.nodes.every(({ state }) => state.own?.state.ledger.vacancies === 5);
  return {
    decision: story.of('agreement', 'share', 'endorse', 'update', 'ping', 'pong'),
    updates: story.of('update'),
    decided,
    events: story.report.events,
    violations: story.violations,
  };
}

/** An elder fails; seven generate a key, and the section hands over to it. */
export function measureHandover(members: number) {
  const story = runBudget(members, (ids) => ({
    pace: livelyPace,
    endAtMs: 20_000,
    externalEvents: [{ atMs: 500, do: (api) => api.stop(ids[0] ?? '') }],
  }));
  const done = story.report.nodes.every(
    ({ stopped, state }) => stopped || state.own?.state.authority.epoch === 1n,
  );
  return {
    keyGeneration: story.of('dkg'),
    handover: story.of('handover', 'ready'),
    done,
    events: story.report.events,
    violations: story.violations,
  };
}

/** An adult announces the same old state ten times a round: measures the others' updates to it. */
export function measureRepair(members: number, copies = 1) {
  let answers = 0;
  let rounds = 0;
  const story = runBudget(members, (ids) => ({
    pace: livelyPace,
    endAtMs: 6_000,
    externalEvents: [wantPlaces(ids, 5, 0)],
    // It never acknowledges an update.
    corrupt: (message) => {
      const stale = { ...message, generation: 0n };
      return message.payload.kind === 'ping' ? Array.from({ length: copies }, () => stale) : [];
    },
    watch: ({ node, outputs }) => {
      if (!node.honest) rounds = node.state.pingRound;
      void outputs;
    },
  }));
  answers = story.of('update').messages;
  return { answers, rounds, repair: story.of('update'), violations: story.violations };
}
