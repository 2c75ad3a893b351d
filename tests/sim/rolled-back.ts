/**
 * Elders whose disks are older than their words (N10): what is seen of them from outside, one story
 * that makes it happen, and machines that do not look.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Event, NodeId, Step } from '#core/machine.ts';
import { wordsFor, type StatementPhase } from '#protocol/agreement/index.ts';
import { agreementConfig, speakAgain } from '#roles/section-node/desk.ts';
import {
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { createPrng } from './prng.ts';
import type { SectionMachine } from './section-check.ts';
import { inventedWords, withLiars } from './section-lies.ts';
import { found, quiet, tell, type SectionApi } from './section-world.ts';

export interface Seen {
  readonly machine: SectionMachine;
  /** Elders of which two statements for one place arrived at somebody. */
  readonly contradicted: ReadonlySet<NodeId>;
  /** Elders that found their own disk too old. */
  readonly noticed: ReadonlySet<NodeId>;
  /** How many have heard a statement of this phase from this elder: of one place, the most. */
  readonly hearers: (of: NodeId, generation: bigint, phase: StatementPhase) => number;
}

/**
 * The machine as a real node has it: nobody tells it what its disk is worth. Every statement of the
 * agreement that arrives is compared with those before it.
 */
export function watching(machine: SectionMachine = sectionNode): Seen {
  const bodies = new Map<string, Uint8Array>();
  const heardBy = new Map<string, Set<NodeId>>();
  const contradicted = new Set<NodeId>();
  const noticed = new Set<NodeId>();
  const founded = new Set<NodeId>();

  const hear = (config: SectionNodeConfig, state: SectionNodeState, event: Event<SectionNode>) => {
    if (event.kind !== 'received' || event.message.payload.kind !== 'agreement') return;
    const { own } = state;
    if (own === null || !equalBytes(own.state.authority.key, event.message.key)) return;
    const { generation, message } = event.message.payload;
    const scope = agreementConfig(config, own, true);
    const from = scope.elders.find((name) => nameToId(name) === event.from);
    if (from === undefined) return;
    for (const { round, phase, body } of wordsFor(scope, from, message)) {
      const place = [toHex(scope.key), event.from, generation, phase, round].join('/');
      const before = bodies.get(place);
      if (before !== undefined && !equalBytes(before, body)) contradicted.add(event.from);
      bodies.set(place, before ?? body);
      const phaseOf = [event.from, generation, phase].join('/');
      heardBy.set(phaseOf, (heardBy.get(phaseOf) ?? new Set()).add(config.self));
    }
  };
  const note = (config: SectionNodeConfig, step: Step<SectionNodeState, SectionNode>) => {
    if (step.state.forgot.size > 0) noticed.add(config.self);
    return step;
  };
  // The world would say which disk is old; a real node is told by nobody.
  const untold = (config: SectionNodeConfig) => ({ ...config, silentUnder: null });

  return {
    contradicted,
    noticed,
    hearers: (of, generation, phase) => heardBy.get([of, generation, phase].join('/'))?.size ?? 0,
    machine: {
      start: (config, facts, context) =>
        note(config, machine.start(untold(config), facts, context)),
      step: (config, state, event, context) => {
        hear(config, state, event);
        let told = event;
        if (event.kind === 'input' && event.input.kind === 'found') {
          // A birth is told once: an empty disk later is a lost one.
          const { sealed } = event.input;
          if (founded.has(config.self)) told = { kind: 'input', input: { kind: 'know', sealed } };
          else founded.add(config.self);
        }
        return note(config, machine.step(untold(config), state, told, context));
      },
    },
  };
}

export interface Crash {
  /** After which of its statements the elder crashes. */
  readonly after: StatementPhase;
  readonly disk: 'rolled back' | 'whole';
  /** Others that answer with words that were never said. */
  readonly liars?: number;
}

/**
 * As many others as must have heard a statement so that one of any four that answer knows of it: with
 * the elder itself there are seven.
 */
const hearersEnough = 3;
const healAtMs = 5_000;

/**
 * Seven elders, one of them dead. Another crashes as soon as enough have heard a statement of its,
 * loses exactly that fact and what follows it, and starts again while the generation is open. What is
 * wanted changes twice a second and messages stay behind, so that by then there are other proposals.
 */
export function tellCrash(
  seed: number,
  { after, disk, liars = 0 }: Crash,
  machine: SectionMachine = sectionNode,
) {
  const prng = createPrng(seed);
  const founding = found(prng, Array<number>(7).fill(7));
  const [victim, dead, ...others] = founding.elders;
  if (victim === undefined || dead === undefined) throw new Error('seven elders');
  const seen = watching(machine);
  let crashed: bigint | null = null;

  const want = (at: number) => ({
    atMs: 500 + at * 400,
    do: (api: SectionApi): void => {
      for (const { id } of founding.elders) {
        const places = 1 + at * 2 + prng.below(2);
        api.input(id, { kind: 'placesWanted', places }, prng.below(150));
      }
    },
  });
  const stop = { atMs: 100, do: (api: SectionApi) => api.stop(dead.id) };
  const crash = (api: SectionApi): void => {
    if (api.nowMs > healAtMs) return;
    const desk = api.nodes().find(({ id }) => id === victim.id)?.state.desk;
    if (crashed !== null || desk?.agreement?.kind !== 'open') return;
    const { generation } = desk;
    if (seen.hearers(victim.id, generation, after) < hearersEnough) return;
    crashed = generation;
    const isLost = (fact: SectionNodeFact): boolean =>
      fact.kind === 'agreement' && fact.generation === generation && isSaid(fact.fact, after);
    api.crash(victim.id, disk === 'whole' ? undefined : isLost);
  };
  const lying = others.slice(0, liars).map((person) => ({ person, lie: inventedWords }));
  const { report, violations } = tell(
    withLiars(
      {
        founding,
        machine: seen.machine,
        faults: {
          ...quiet,
          latencyMs: [5, 120],
          restartAfterMs: [1, 60],
          straggle: { probability: 0.25, upToMs: 900 },
        },
        healAtMs,
        endAtMs: 9_000,
        deeds: [stop, ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(want)],
        watch: (_observation, api) => crash(api),
      },
      new Map(lying.map((each) => [each.person.id, each])),
    ),
    seed,
  );
  const left = report.nodes.filter(({ id, stopped }) => !stopped && id !== victim.id);
  return {
    /** Those of a disk that says of itself that it is old do not fit a node that is told nothing. */
    violations: violations.filter((each) => !each.includes('a rolled-back elder speaks')),
    crashed: crashed !== null,
    noticed: seen.noticed.has(victim.id),
    contradicted: seen.contradicted.has(victim.id),
    othersGoOn: left.every(
      ({ state }) => (state.own?.state.authority.generation ?? 0n) > (crashed ?? 0n),
    ),
  };
}

type SaidFact = Extract<SectionNodeFact, { readonly kind: 'agreement' }>['fact'];

const isSaid = (fact: SaidFact, phase: StatementPhase): boolean =>
  fact.kind === 'said' && fact.message.kind === (phase === 'report' ? 'reports' : phase);

class Everything extends Set<string> {
  override has(): boolean {
    return true;
  }
}

/** Takes every word for one that its facts hold. */
const comparesNothing: SectionMachine['step'] = (config, state, event, context) => {
  const { desk } = state;
  const sure = desk === null ? state : { ...state, desk: { ...desk, said: new Everything() } };
  return sectionNode.step(config, sure, event, context);
};

/** Speaks at once, as if four had answered. */
const asksNobody: SectionMachine['start'] = (config, facts, context) => {
  const begun = sectionNode.start(config, facts, context);
  const spoken = speakAgain(config, begun.state, context);
  return { state: spoken.state, effects: [...begun.effects, ...spoken.effects] };
};

/** Its own name stands under everything. */
function believing(config: SectionNodeConfig): SectionNodeConfig {
  const { identity } = config.suites;
  const verify: typeof identity.verify = (name, message, signature) =>
    equalBytes(name, config.name) || identity.verify(name, message, signature);
  return { ...config, suites: { ...config.suites, identity: { ...identity, verify } } };
}

export const forgetfulMutants = {
  'N10: never asks what it said': { start: asksNobody, step: comparesNothing },
  'N10: asks, and does not compare': { start: sectionNode.start, step: comparesNothing },
} as const satisfies Readonly<Record<string, SectionMachine>>;

export const believesAWord: SectionMachine = {
  start: (config, facts, context) => sectionNode.start(believing(config), facts, context),
  step: (config, state, event, context) =>
    sectionNode.step(believing(config), state, event, context),
};
