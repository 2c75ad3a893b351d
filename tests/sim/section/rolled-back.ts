/**
 * Elders whose disks are older than their sent statements (N10): their observable behaviour, one
 * story that causes it, and machines that do not check.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Event, NodeId, Step } from '#core/machine.ts';
import { ownStatementsIn, type StatementPhase } from '#protocol/agreement/index.ts';
import { agreementConfig } from '#roles/section-node/generation/agreement-wiring.ts';
import { resumeSigning } from '#roles/section-node/generation/generation-driver.ts';
import {
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { createPrng } from '../prng.ts';
import type { SectionMachine } from './section-check.ts';
import { inventedStatements, withLiars } from './section-adversaries.ts';
import {
  foundSection,
  faultlessNetwork,
  runSectionStory,
  type SectionApi,
} from './section-world.ts';

export interface ObservedStatements {
  readonly machine: SectionMachine;
  /** Elders of which some node received two different statements for one round and phase. */
  readonly contradicted: ReadonlySet<NodeId>;
  /** Elders that detected their lost state. */
  readonly noticed: ReadonlySet<NodeId>;
  /** The number of nodes that received a statement of this phase from this elder. */
  readonly receiversOf: (of: NodeId, generation: bigint, phase: StatementPhase) => number;
}

/**
 * The machine of a real node: it gets no hint that its disk is old. Compares every agreement
 * statement that arrives with earlier ones.
 */
export function observeStatements(machine: SectionMachine = sectionNode): ObservedStatements {
  const bodies = new Map<string, Uint8Array>();
  const receivedBy = new Map<string, Set<NodeId>>();
  const contradicted = new Set<NodeId>();
  const noticed = new Set<NodeId>();
  const founded = new Set<NodeId>();

  const observe = (
    config: SectionNodeConfig,
    state: SectionNodeState,
    event: Event<SectionNode>,
  ) => {
    if (event.kind !== 'received' || event.message.payload.kind !== 'agreement') return;
    const { own } = state;
    if (own === null || !equalBytes(own.state.authority.key, event.message.key)) return;
    const { generation, message } = event.message.payload;
    const scope = agreementConfig(config, own, true);
    const from = scope.elders.find((name) => nameToId(name) === event.from);
    if (from === undefined) return;
    for (const { round, phase, body } of ownStatementsIn(scope, from, message)) {
      const place = [toHex(scope.key), event.from, generation, phase, round].join('/');
      const before = bodies.get(place);
      if (before !== undefined && !equalBytes(before, body)) contradicted.add(event.from);
      bodies.set(place, before ?? body);
      const phaseOf = [event.from, generation, phase].join('/');
      receivedBy.set(phaseOf, (receivedBy.get(phaseOf) ?? new Set()).add(config.self));
    }
  };
  const note = (config: SectionNodeConfig, step: Step<SectionNodeState, SectionNode>) => {
    if (step.state.keysWithLostState.size > 0) noticed.add(config.self);
    return step;
  };

  return {
    contradicted,
    noticed,
    receiversOf: (of, generation, phase) =>
      receivedBy.get([of, generation, phase].join('/'))?.size ?? 0,
    machine: {
      start: (config, facts, context) => note(config, machine.start(config, facts, context)),
      step: (config, state, event, context) => {
        observe(config, state, event);
        let delivered = event;
        if (event.kind === 'input' && event.input.kind === 'startAsFounder') {
          // Genesis happens once: an empty disk later is a lost one.
          const { sealed } = event.input;
          if (founded.has(config.self))
            delivered = { kind: 'input', input: { kind: 'addState', sealed } };
          else founded.add(config.self);
        }
        return note(config, machine.step(config, state, delivered, context));
      },
    },
  };
}

export interface CrashPlan {
  /** The elder crashes after a statement of this phase. */
  readonly after: StatementPhase;
  readonly disk: 'rolled back' | 'whole';
  /** Other elders that answer with invented statements. */
  readonly liars?: number;
}

/**
 * Enough receivers that any four answering elders include one: with the elder itself there are
 * seven.
 */
const receiversNeeded = 3;
const healAtMs = 5_000;

/**
 * Seven elders, one of them stopped. Another crashes as soon as enough have received its statement,
 * loses exactly that fact and all later ones, and restarts while the generation is open. The wanted
 * vacancies change twice a second and messages are delayed, so that there are other proposals by
 * then.
 */
export function runCrash(
  seed: number,
  { after, disk, liars = 0 }: CrashPlan,
  machine: SectionMachine = sectionNode,
) {
  const prng = createPrng(seed);
  const founding = foundSection(prng, Array<number>(7).fill(7));
  const [victim, dead, ...others] = founding.elders;
  if (victim === undefined || dead === undefined) throw new Error('seven elders');
  const seen = observeStatements(machine);
  let crashed: bigint | null = null;

  const want = (at: number) => ({
    atMs: 500 + at * 400,
    do: (api: SectionApi): void => {
      for (const { id } of founding.elders) {
        const vacancies = 1 + at * 2 + prng.below(2);
        api.input(id, { kind: 'setVacancies', vacancies }, prng.below(150));
      }
    },
  });
  const stop = { atMs: 100, do: (api: SectionApi) => api.stop(dead.id) };
  const crash = (api: SectionApi): void => {
    if (api.nowMs > healAtMs) return;
    const pending = api.nodes().find(({ id }) => id === victim.id)?.state.pendingGeneration;
    if (crashed !== null || pending?.agreement?.kind !== 'open') return;
    const { generation } = pending;
    if (seen.receiversOf(victim.id, generation, after) < receiversNeeded) return;
    crashed = generation;
    const isLost = (fact: SectionNodeFact): boolean =>
      fact.kind === 'agreement' &&
      fact.generation === generation &&
      isStatementFact(fact.fact, after);
    api.crash(victim.id, disk === 'whole' ? undefined : isLost);
  };
  const lying = others.slice(0, liars).map((simNode) => ({ simNode, lie: inventedStatements }));
  const { report, violations } = runSectionStory(
    withLiars(
      {
        founding,
        machine: seen.machine,
        detectsLoss: true,
        faults: {
          ...faultlessNetwork,
          latencyMs: [5, 120],
          restartAfterMs: [1, 60],
          straggle: { probability: 0.25, upToMs: 900 },
        },
        healAtMs,
        endAtMs: 9_000,
        externalEvents: [stop, ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(want)],
        watch: (_observation, api) => crash(api),
      },
      new Map(lying.map((each) => [each.simNode.id, each])),
    ),
    seed,
  );
  const left = report.nodes.filter(({ id, stopped }) => !stopped && id !== victim.id);
  return {
    /** Ignore violations that assume a hint: these nodes do not know that their disk is old. */
    violations: violations.filter((each) => !each.includes('a rolled-back elder signs')),
    crashed: crashed !== null,
    noticed: seen.noticed.has(victim.id),
    contradicted: seen.contradicted.has(victim.id),
    othersGoOn: left.every(
      ({ state }) => (state.own?.state.authority.generation ?? 0n) > (crashed ?? 0n),
    ),
  };
}

type StatementFact = Extract<SectionNodeFact, { readonly kind: 'agreement' }>['fact'];

const isStatementFact = (fact: StatementFact, phase: StatementPhase): boolean =>
  fact.kind === 'signed' &&
  fact.message.kind === (phase === 'roundChange' ? 'roundChanges' : phase);

class Everything extends Set<string> {
  override has(): boolean {
    return true;
  }
}

/** Treats every statement as stored in its facts. */
const skipsComparison: SectionMachine['step'] = (config, state, event, context) => {
  const { pendingGeneration } = state;
  const sure =
    pendingGeneration === null
      ? state
      : { ...state, pendingGeneration: { ...pendingGeneration, ownStatements: new Everything() } };
  return sectionNode.step(config, sure, event, context);
};

/** Signs immediately, as if four had answered. */
const skipsRecoveryQuery: SectionMachine['start'] = (config, facts, context) => {
  const begun = sectionNode.start(config, facts, context);
  const spoken = resumeSigning(config, begun.state, context);
  return { state: spoken.state, effects: [...begun.effects, ...spoken.effects] };
};

/** Accepts any signature under its own name. */
function accepting(config: SectionNodeConfig): SectionNodeConfig {
  const { identity } = config.suites;
  const verify: typeof identity.verify = (name, message, signature) =>
    equalBytes(name, config.name) || identity.verify(name, message, signature);
  return { ...config, suites: { ...config.suites, identity: { ...identity, verify } } };
}

export const lostStateMutants = {
  'N10: never sends a state recovery query': { start: skipsRecoveryQuery, step: skipsComparison },
  'N10: asks, and does not compare': { start: sectionNode.start, step: skipsComparison },
} as const satisfies Readonly<Record<string, SectionMachine>>;

export const acceptsOneStatement: SectionMachine = {
  start: (config, facts, context) => sectionNode.start(accepting(config), facts, context),
  step: (config, state, event, context) =>
    sectionNode.step(accepting(config), state, event, context),
};
