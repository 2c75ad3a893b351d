/**
 * A log of decided generations: a role's use of the agreement engine, without seals. Each node runs
 * one instance per generation, proposes undecided acts again, and catches up by decisions. The
 * environment's `propose` inputs trigger it; messages and facts are bytes.
 */
import { createHash } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { compareBytes, concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Context, Effect, Machine, Step } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import {
  agreement,
  decodeAgreementFact,
  decodeAgreementMessage,
  encodeAgreementFact,
  encodeAgreementMessage,
  proposalHash,
  type Agreement,
  type AgreementConfig,
  type AgreementMessage,
  type AgreementScope,
  type AgreementState,
  type Decision,
} from '#protocol/agreement/index.ts';

export interface LogConfig extends Omit<AgreementConfig, 'generation'> {
  /** The log ends after this many; generation 0 is the first. */
  readonly generations: number;
  /** This node's proposals when a generation begins. */
  readonly offers: (generation: number) => readonly Uint8Array[];
}

/** A validator's input (N7), and the local store, without which it answers "later" (N23). */
export interface LogJob {
  readonly proposal: Uint8Array;
  readonly decided: readonly (readonly Uint8Array[])[];
  readonly holds: ReadonlySet<string>;
}

export interface AgreementLog {
  readonly input:
    | { readonly kind: 'propose'; readonly proposal: Uint8Array }
    | { readonly kind: 'hold'; readonly what: string };
  readonly message:
    | { readonly kind: string; readonly generation: number; readonly bytes: Uint8Array }
    | { readonly kind: 'behind'; readonly generation: number };
  readonly fact:
    | { readonly kind: 'agreement'; readonly generation: number; readonly bytes: Uint8Array }
    | { readonly kind: 'pending'; readonly proposal: Uint8Array }
    | { readonly kind: 'holds'; readonly what: string };
  readonly output: {
    readonly kind: 'decided';
    readonly generation: number;
    readonly decision: Decision;
  };
  readonly fault: Agreement['fault'];
  readonly timer: string;
  readonly job: LogJob;
  readonly jobId: { readonly generation: number; readonly id: Agreement['jobId'] };
  readonly result: Agreement['result'];
}

export interface LogState {
  readonly instances: readonly AgreementState[];
  readonly decided: readonly (readonly Uint8Array[])[];
  readonly pending: readonly Uint8Array[];
  readonly holds: ReadonlySet<string>;
}

type AgreementMachine = Machine<AgreementConfig, AgreementState, Agreement>;
/** Decisions per answer to an elder that is behind. */
const maxDecisionsPerAnswer = 4;

export function agreementLog(
  machine: AgreementMachine = agreement,
): Machine<LogConfig, LogState, AgreementLog> {
  const configAt = (config: LogConfig, generation: number): AgreementConfig => ({
    ...config,
    generation: BigInt(generation),
  });

  /** Performs an instance's effects, and starts the next generation on a decision. */
  const take = (
    config: LogConfig,
    before: LogState,
    generation: number,
    step: Step<AgreementState, Agreement>,
    context: Context,
  ): Step<LogState, AgreementLog> => {
    const instances = [...before.instances];
    instances[generation] = step.state;
    let state: LogState = { ...before, instances };
    const effects: Effect<AgreementLog>[] = [];
    let decided: Decision | undefined;
    for (const effect of step.effects) {
      const lifted = liftEffect(state, generation, effect);
      effects.push(...lifted);
      if (effect.kind === 'output') decided = effect.output;
    }
    if (decided === undefined) return { state, effects };
    const { proposals } = decided;
    state = {
      ...state,
      decided: [...state.decided.slice(0, generation), proposals],
      pending: state.pending.filter((each) => !proposals.some((other) => equalBytes(each, other))),
    };
    const closing = generation - 1;
    const previous = state.instances[closing];
    if (previous !== undefined) {
      const closed = machine.step(
        configAt(config, closing),
        previous,
        { kind: 'input', input: { kind: 'close' } },
        context,
      );
      const step = take(config, state, closing, closed, context);
      state = step.state;
      effects.push(...step.effects);
    }
    const next = begin(config, state, generation + 1, [], context);
    return { state: next.state, effects: [...effects, ...next.effects] };
  };

  const begin = (
    config: LogConfig,
    before: LogState,
    generation: number,
    facts: readonly Agreement['fact'][],
    context: Context,
  ): Step<LogState, AgreementLog> => {
    if (generation >= config.generations) return { state: before, effects: [] };
    const own = configAt(config, generation);
    const first = take(config, before, generation, machine.start(own, facts, context), context);
    let { state } = first;
    const effects = [...first.effects];
    if (state.instances[generation]?.kind !== 'open') return { state, effects };
    for (const proposal of [...config.offers(generation), ...state.pending]) {
      const instance = state.instances[generation];
      if (instance === undefined) break;
      const input = { kind: 'propose', proposal } as const;
      const offered = machine.step(own, instance, { kind: 'input', input }, context);
      const step = take(config, state, generation, offered, context);
      state = step.state;
      effects.push(...step.effects);
    }
    return { state, effects };
  };

  return {
    start: (config, facts, context) => {
      let state: LogState = { instances: [], decided: [], pending: [], holds: new Set() };
      const effects: Effect<AgreementLog>[] = [];
      const byGeneration = new Map<number, Agreement['fact'][]>();
      for (const fact of facts) {
        if (fact.kind === 'pending') {
          state = { ...state, pending: [...state.pending, fact.proposal] };
        } else if (fact.kind === 'holds') {
          state = { ...state, holds: new Set(state.holds).add(fact.what) };
        } else {
          const own = valueOf(decodeAgreementFact(fact.bytes));
          byGeneration.set(fact.generation, [...(byGeneration.get(fact.generation) ?? []), own]);
        }
      }
      for (let generation = 0; generation < config.generations; generation++) {
        const own = byGeneration.get(generation) ?? [];
        const decision = own.find((fact) => fact.kind === 'decided')?.decision;
        if (decision === undefined) {
          const step = begin(config, state, generation, own, context);
          const asked = config.abstain ? requestDecisions(config, state) : [];
          return { state: step.state, effects: [...effects, ...step.effects, ...asked] };
        }
        const started = machine.start(configAt(config, generation), own, context);
        const { proposals } = decision;
        state = {
          ...state,
          instances: [...state.instances, started.state],
          decided: [...state.decided, proposals],
          pending: state.pending.filter(
            (each) => !proposals.some((other) => equalBytes(each, other)),
          ),
        };
        // Only the newest decision is still re-sent to all.
        if (!byGeneration.has(generation + 1)) {
          for (const effect of started.effects) {
            effects.push(...liftEffect(state, generation, effect));
          }
        }
      }
      return { state, effects };
    },

    step: (config, state, event, context) => {
      const current = Math.min(state.decided.length, config.generations - 1);
      const run = (
        generation: number,
        inner: Parameters<AgreementMachine['step']>[2],
      ): Step<LogState, AgreementLog> => {
        const instance = state.instances[generation];
        if (instance === undefined) return { state, effects: [] };
        const step = machine.step(configAt(config, generation), instance, inner, context);
        return take(config, state, generation, step, context);
      };
      switch (event.kind) {
        case 'input': {
          if (event.input.kind === 'hold') {
            const { what } = event.input;
            const held: LogState = { ...state, holds: new Set(state.holds).add(what) };
            const instance = state.instances[current];
            const fact: Effect<AgreementLog> = { kind: 'persist', fact: { kind: 'holds', what } };
            if (instance === undefined) return { state: held, effects: [fact] };
            const own = configAt(config, current);
            const retry = { kind: 'input', input: { kind: 'retry' } } as const;
            const step = machine.step(own, instance, retry, context);
            const taken = take(config, held, current, step, context);
            return { state: taken.state, effects: [fact, ...taken.effects] };
          }
          const { proposal } = event.input;
          const pending = [...state.pending, proposal];
          const instance = state.instances[current];
          const fact: Effect<AgreementLog> = {
            kind: 'persist',
            fact: { kind: 'pending', proposal },
          };
          if (instance === undefined) return { state: { ...state, pending }, effects: [fact] };
          const own = configAt(config, current);
          const step = machine.step(
            own,
            instance,
            { kind: 'input', input: { kind: 'propose', proposal } },
            context,
          );
          const taken = take(config, { ...state, pending }, current, step, context);
          return { state: taken.state, effects: [fact, ...taken.effects] };
        }
        case 'received': {
          const { from, message } = event;
          if (!('bytes' in message)) return sendDecisions(config, state, from, message.generation);
          const decoded = decodeOnce(message.bytes);
          if (decoded === undefined) return { state, effects: [] };
          const generation = Number(decoded.generation);
          if (generation > current) {
            // N11: votes only in the generation after the last decision it holds.
            const behind = { kind: 'behind', generation: current } as const;
            return { state, effects: [{ kind: 'send', to: [from], message: behind }] };
          }
          return run(generation, { kind: 'received', from, message: decoded });
        }
        case 'timerFired': {
          if (event.timer === 'behind') return { state, effects: requestDecisions(config, state) };
          const [generation = '', timer = ''] = event.timer.split('|');
          return run(Number(generation), {
            kind: 'timerFired',
            timer: timer as Agreement['timer'],
          });
        }
        case 'computed': {
          const { generation, id } = event.id;
          return run(generation, { kind: 'computed', id, result: event.result });
        }
      }
    },
  };
}

/**
 * After losing its store an elder requests decisions until it is up to date: earlier peers may
 * count it as such (N10).
 */
function requestDecisions(config: LogConfig, state: LogState): readonly Effect<AgreementLog>[] {
  const generation = state.decided.length;
  if (generation >= config.generations) return [];
  const to = config.elders.filter((name) => !equalBytes(name, config.self)).map(nameToId);
  return [
    { kind: 'send', to, message: { kind: 'behind', generation } },
    { kind: 'setTimer', timer: 'behind', afterMs: 5 * config.roundTimeoutMs },
  ];
}

function sendDecisions(
  config: LogConfig,
  state: LogState,
  to: string,
  generation: number,
): Step<LogState, AgreementLog> {
  const effects: Effect<AgreementLog>[] = [];
  const end = Math.min(generation + maxDecisionsPerAnswer, state.instances.length);
  for (let at = Math.max(0, generation); at < end && !config.abstain; at++) {
    const instance = state.instances[at];
    if (instance === undefined || instance.kind === 'open' || instance.decision === null) continue;
    const { decision } = instance;
    const message = { kind: 'decision', generation: BigInt(at), decision } as const;
    effects.push({ kind: 'send', to: [to], message: wrap(message) });
  }
  return { state, effects };
}

function liftEffect(
  state: LogState,
  generation: number,
  effect: Effect<Agreement>,
): readonly Effect<AgreementLog>[] {
  switch (effect.kind) {
    case 'persist': {
      const bytes = encodeAgreementFact(effect.fact);
      return [{ kind: 'persist', fact: { kind: 'agreement', generation, bytes } }];
    }
    case 'send':
      return [{ kind: 'send', to: effect.to, message: wrap(effect.message) }];
    case 'setTimer':
    case 'clearTimer':
      return [{ ...effect, timer: `${generation}|${effect.timer}` }];
    case 'compute': {
      const { decided, holds } = state;
      const job: LogJob = { proposal: effect.job.proposal, decided, holds };
      return [{ kind: 'compute', id: { generation, id: effect.id }, job }];
    }
    case 'blame':
      return [effect];
    case 'output': {
      const { proposals, certificate } = effect.output;
      const decision = { proposals, certificate };
      return [{ kind: 'output', output: { kind: 'decided', generation, decision } }];
    }
  }
}

export const wrap = (message: AgreementMessage): AgreementLog['message'] => ({
  kind: message.kind,
  generation: Number(message.generation),
  bytes: encodeAgreementMessage(message),
});

/** One message goes to six elders: decode its bytes once for all of them. */
const decoded = new WeakMap<Uint8Array, { readonly message: AgreementMessage | undefined }>();
export function decodeOnce(bytes: Uint8Array): AgreementMessage | undefined {
  const known = decoded.get(bytes);
  if (known !== undefined) return known.message;
  const result = decodeAgreementMessage(bytes);
  const message = result.ok ? result.value : undefined;
  decoded.set(bytes, { message });
  return message;
}

/** Signatures that are hashes: unforgeable only because no liar here tries. */
export const toyLogIdentity: IdentitySuite = {
  sign: (seed, message) => toySignature(toyLogName(seed), message),
  verify: (name, message, signature) => equalBytes(toySignature(name, message), signature),
};
export const toyLogName = (seed: Uint8Array): Uint8Array => labelledHash('safe/toy/name', seed);

function toySignature(name: Uint8Array, message: Uint8Array): Uint8Array {
  const half = new Uint8Array(createHash('sha256').update(name).update(message).digest());
  return concat(half, half);
}

export interface LogElder {
  readonly id: string;
  readonly name: Uint8Array;
  readonly seed: Uint8Array;
  /** The same for all elders of a section. */
  readonly identity: IdentitySuite;
}

/** Elders in the order of their names. */
export const logElders = (
  count: number,
  nameOf: (seed: Uint8Array) => Uint8Array,
  identity: IdentitySuite,
): readonly LogElder[] =>
  Array.from({ length: count }, (_, i) => {
    const seed = labelledHash('safe/toy/elder', utf8(String(i)));
    const name = nameOf(seed);
    return { id: nameToId(name), name, seed, identity };
  }).sort((a, b) => compareBytes(a.name, b.name));

export const toyElders = (count: number): readonly LogElder[] =>
  logElders(count, toyLogName, toyLogIdentity);

export const logScope = (elders: readonly LogElder[], generation: number): AgreementScope => ({
  networkId: new Uint8Array(32).fill(1),
  key: new Uint8Array(96).fill(2),
  epoch: 3n,
  generation: BigInt(generation),
  elders: elders.map(({ name }) => name),
  identity: elders[0]?.identity ?? toyLogIdentity,
});

export const logConfig = (
  elders: readonly LogElder[],
  elder: LogElder,
  more: Pick<LogConfig, 'generations' | 'offers'>,
): LogConfig => {
  const { networkId, key, epoch, elders: names, identity } = logScope(elders, 0);
  return {
    ...{ networkId, key, epoch, elders: names, identity, ...more },
    self: elder.name,
    identitySeed: elder.seed,
    roundTimeoutMs: 200,
    abstain: false,
    subjectOf: (proposal) => toHex(proposalHash(proposal)),
  };
};

/** `ok:` is valid once; `snap:` needs the named snapshot to be held; everything else is invalid. */
export function validateToy({ proposal, decided, holds }: LogJob): Agreement['result'] {
  const text = new TextDecoder().decode(proposal);
  if (decided.some((each) => each.some((other) => equalBytes(other, proposal)))) {
    return { kind: 'invalid' };
  }
  if (text.startsWith('snap:')) return { kind: holds.has(text) ? 'valid' : 'later' };
  return { kind: text.startsWith('ok:') ? 'valid' : 'invalid' };
}

export const proposalsText = (proposals: readonly Uint8Array[]): string =>
  proposals
    .map((each) => new TextDecoder().decode(each))
    .sort()
    .join(' ');

export const proposalId = toHex;

function valueOf<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  if (!result.ok) throw new Error('our own facts decode');
  return result.value;
}
