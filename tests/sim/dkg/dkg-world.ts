/**
 * The world of a key generation: seven candidates of which at most two are unresponsive, offline or
 * lying, and the properties that hold after every event and at the end.
 */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { compareBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeDkgFact,
  decodeDkgMessage,
  decodeReadinessProof,
  dkg,
  encodeDkgFact,
  encodeDkgMessage,
  encodeReadinessProof,
  listHash,
  performDkgJob,
  defaultReadyBytes,
  verifyReadinessProof,
  type DealingList,
  type Dkg,
  type DkgConfig,
  type DkgJob,
  type DkgResult,
  type DkgState,
  type DkgSuites,
  type KeyShareSet,
} from '#protocol/dkg/index.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import { createPrng } from '../prng.ts';
import { toyDealings } from '../toys/toy-dealing.ts';
import { toyIdentity, toyIdentitySuite, toySuite } from '../toys/toy-suite.ts';
import {
  run,
  type Checker,
  type Corrupt,
  type Faults,
  type Observation,
  type Report,
  type Scenario,
  type WorldApi,
} from '../world.ts';

export type DkgMachine = Machine<DkgConfig, DkgState, Dkg>;
export type DkgScenario = Scenario<DkgConfig, DkgState, Dkg>;

export const hostile: Faults = {
  latencyMs: [1, 400],
  dropProbability: 0.2,
  duplicateProbability: 0.1,
  crashProbability: 0.02,
  restartAfterMs: [10, 3000],
  cutProbability: 0.02,
  computeMs: [0, 200],
  straggle: { probability: 0.02, upToMs: 5000 },
  partition: { probability: 0.005, forMs: [500, 4000] },
};

export const toyDkgSuites: DkgSuites = {
  identity: toyIdentitySuite,
  threshold: toySuite,
  dealings: toyDealings,
};

export interface DkgCast {
  readonly configs: ReadonlyMap<NodeId, DkgConfig>;
  readonly ids: readonly NodeId[];
  /** @param index 1…7. */
  readonly config: (index: number) => DkgConfig;
}

/** Seven candidates; `attempt` makes another session of the same seven. */
export function dkgCastOf(
  suites: DkgSuites = toyDkgSuites,
  nameOf: (seed: Uint8Array) => Uint8Array = toyIdentity,
  attempt = 1,
): DkgCast {
  const identities = Array.from({ length: 7 }, (_, i) => sha256(utf8(`candidate ${i}`)))
    .map((identitySeed) => ({ identitySeed, name: toXorName(nameOf(identitySeed)) }))
    .sort((a, b) => compareBytes(a.name, b.name));
  const candidates = identities.map(({ name }) => name);
  const networkId = sha256(utf8('sim'));
  const sessionId = sha256(utf8(`session ${attempt}`));
  const secrets = identities.map(({ identitySeed }) =>
    suites.dealings.toSharingSecret(identitySeed),
  );
  const fallbackKeys = secrets.map(suites.dealings.sharingKey);
  const ids = candidates.map(nameToId);
  const configs = new Map(
    identities.map(({ identitySeed }, at): [NodeId, DkgConfig] => [
      valueOf(ids[at]),
      {
        self: valueOf(ids[at]),
        identitySeed,
        networkId,
        sessionId,
        candidates,
        fallbackKeys,
        fallbackSecret: valueOf(secrets[at]),
        readyBytes: (list, keys) => defaultReadyBytes({ networkId, sessionId }, list, keys),
        gossipEveryMs: 1000,
        suites,
      },
    ]),
  );
  return { configs, ids, config: (index) => valueOf(configs.get(valueOf(ids[index - 1]))) };
}

/**
 * Every message, fact and proof passes its codec, so a run also shows that none loses information.
 */
export function overTheWire(machine: DkgMachine): DkgMachine {
  const through = (step: Step<DkgState, Dkg>): Step<DkgState, Dkg> => ({
    state: step.state,
    effects: step.effects.map((effect): Effect<Dkg> => {
      if (effect.kind === 'send') {
        const message = decoded(decodeDkgMessage(encodeDkgMessage(effect.message)));
        return { ...effect, message };
      }
      if (effect.kind === 'persist') {
        return { ...effect, fact: decoded(decodeDkgFact(encodeDkgFact(effect.fact))) };
      }
      if (effect.kind !== 'output' || effect.output.kind !== 'ready') return effect;
      const ready = decoded(decodeReadinessProof(encodeReadinessProof(effect.output.ready)));
      return { ...effect, output: { ...effect.output, ready } };
    }),
  });
  return {
    start: (config, facts, context) => through(machine.start(config, facts, context)),
    step: (config, state, event, context) => through(machine.step(config, state, event, context)),
  };
}

function decoded<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  if (!result.ok) throw new Error('something its own codec refuses');
  return result.value;
}

/** The candidates' roles, and the changes that plant a bug. */
export interface DkgPlay {
  readonly cast: DkgCast;
  /** Lying and unresponsive candidates: at most two, including the offline one. */
  readonly corrupt?: ReadonlyMap<NodeId, Corrupt<Dkg>>;
  /** A candidate that is offline until the others have finished and erased their secrets. */
  readonly offline?: NodeId;
  readonly machine?: DkgMachine;
  readonly compute?: (job: DkgJob) => DkgResult;
  readonly faults?: Faults;
  readonly healAtMs?: number;
}

export interface DkgOutcome {
  readonly report: Report<DkgState>;
  /** The lists that the section may choose: those that became ready, by hex of the hash. */
  readonly chosen: ReadonlyMap<string, DealingList>;
  /** By list, then by node. */
  readonly shares: ReadonlyMap<string, ReadonlyMap<NodeId, KeyShareSet>>;
  readonly blamed: readonly string[];
  readonly usedFallback: number;
  /** Number of honest candidates that lack the share of a chosen key. */
  readonly undelivered: number;
}

/** Milliseconds after healing: decide; forget; start the offline candidate; end. */
const decideAfter = 22_000;
const forgetAfter = 28_000;
const startOfflineAfter = 30_000;
const endAfter = 42_000;

export function playDkg(seed: number, given: DkgPlay): DkgOutcome {
  const { cast, offline } = given;
  const suites = cast.config(1).suites;
  const corrupt = given.corrupt ?? new Map<NodeId, Corrupt<Dkg>>();
  const healAtMs = given.healAtMs ?? 10_000;
  const ready = new Map<string, DealingList>();
  const chosen = new Map<string, DealingList>();
  const shares = new Map<string, Map<NodeId, KeyShareSet>>();
  const blamed: string[] = [];
  let usedFallback = 0;
  const done = new Set<string>();
  const once = (what: string, act: () => void): void => {
    if (done.has(what)) return;
    done.add(what);
    act();
  };

  const react = (
    { node, outputs }: Observation<DkgState, Dkg>,
    api: WorldApi<DkgConfig, DkgState, Dkg>,
  ): void => {
    const after = api.nowMs - healAtMs;
    for (const output of outputs) {
      if (output.kind !== 'share') continue;
      // `react` only runs after events, so schedule a repeated input at each of these times.
      once('clock', () => {
        for (const hour of [decideAfter, forgetAfter, startOfflineAfter]) {
          const input = { kind: 'finish', list: output.list } as const;
          api.input(node.id, input, healAtMs + hour - api.nowMs);
        }
      });
    }
    if (after >= decideAfter) {
      once('decide', () => {
        if (ready.size === 0) return;
        const [id, list] = createPrng(seed ^ 0xd12).pick([...ready]);
        chosen.set(id, list);
        for (const { id: to } of api.nodes()) api.input(to, { kind: 'finish', list }, 1);
      });
    }
    if (after >= forgetAfter) {
      once('forget', () => {
        const [winner] = chosen.keys();
        const key = winner === undefined ? undefined : firstOf(valueOf(shares.get(winner))).key;
        for (const { id: to } of api.nodes()) {
          api.input(to, key === undefined ? { kind: 'notSelected' } : { kind: 'selected', key }, 1);
        }
      });
    }
    if (after >= startOfflineAfter && offline !== undefined) {
      once('wake', () => {
        api.spawn(offline, valueOf(cast.configs.get(offline)));
        for (const list of chosen.values()) api.input(offline, { kind: 'finish', list }, 500);
      });
    }
  };

  const safety = safetyOf(cast, new Set(corrupt.keys()));
  const check: Checker<DkgState, Dkg> = (seen) => {
    safety(seen);
    if (!seen.node.honest) return;
    for (const { kind } of seen.faults) blamed.push(kind);
    for (const output of seen.outputs) {
      if (output.kind === 'ready') {
        ready.set(idOfList(cast, output.ready.list), output.ready.list);
      } else if (output.kind === 'share') {
        const id = idOfList(cast, output.list);
        const known = shares.get(id) ?? new Map<NodeId, KeyShareSet>();
        shares.set(id, known.set(seen.node.id, output.share));
        if (output.usedFallback) usedFallback += 1;
      }
    }
  };

  const report = run(
    {
      inputs: [],
      machine: overTheWire(given.machine ?? dkg),
      configs: new Map([...cast.configs].filter(([id]) => id !== offline)),
      compute: given.compute ?? ((job) => performDkgJob(job, suites)),
      faults: given.faults ?? hostile,
      healAtMs,
      endAtMs: healAtMs + endAfter,
      corrupt,
      react,
    },
    seed,
    check,
  );
  const honest = cast.ids.filter((id) => !corrupt.has(id));
  let undelivered = 0;
  for (const id of chosen.keys()) {
    undelivered += honest.filter((each) => shares.get(id)?.has(each) !== true).length;
  }
  return { report, chosen, shares, blamed, usedFallback, undelivered };
}

/** Properties that hold after every event. */
function safetyOf(cast: DkgCast, liars: ReadonlySet<NodeId>): Checker<DkgState, Dkg> {
  const config = cast.config(1);
  const { suites, candidates, readyBytes } = config;
  const keys = new Map<string, string>();
  const dealings = new Map<number, string>();
  const lists = new Map<number, string>();
  const secrets = new Map<string, string>();
  const same = <Key>(known: Map<Key, string>, key: Key, value: string, what: string): void => {
    if ((known.get(key) ?? value) !== value) throw new Error(what);
    known.set(key, value);
  };
  const isHonest = (candidate: number): boolean => !liars.has(valueOf(cast.ids[candidate - 1]));
  return ({ node, outputs, faults }) => {
    if (!node.honest) return;
    for (const fault of faults) {
      if (!liars.has(fault.culprit)) throw new Error(`noFalseBlame: ${fault.kind}`);
    }
    // A crash may lose the node's own unsent values; those that others hold were sent.
    const own = cast.ids.indexOf(node.id) + 1;
    for (const { dealing, hash } of node.state.dealings.values()) {
      if (dealing.dealer !== own && isHonest(dealing.dealer))
        same(dealings, dealing.dealer, toHex(hash), 'oneDealing');
    }
    for (const [candidate, list] of node.state.proposed) {
      if (candidate !== own && isHonest(candidate))
        same(lists, candidate, idOfList(cast, list.dealings), 'oneList');
    }
    if (node.state.kind === 'ended' && JSON.stringify(Object.keys(node.state)).includes('ecret')) {
      throw new Error('forgotten: a secret is kept');
    }
    for (const output of outputs) {
      if (output.kind === 'share') {
        const { share } = output;
        const id = idOfList(cast, output.list);
        same(keys, id, toHex(share.key), 'oneKey: a list made two keys');
        if (valueOf(cast.ids[share.index - 1]) !== node.id) throw new Error('ownIndex');
        const own = valueOf(share.publicShares[share.index - 1]);
        if (toHex(suites.threshold.publicKey(share.secretShare)) !== toHex(own)) {
          throw new Error('rightShare: a share that does not belong to the key');
        }
        same(secrets, `${id} ${node.id}`, toHex(share.secretShare), 'oneShare: it changed');
      } else if (output.kind === 'ready') {
        const { ready } = output;
        same(keys, idOfList(cast, ready.list), toHex(ready.key), 'oneKey: ready for another');
        if (!verifyReadinessProof(suites, config, candidates, readyBytes, ready)) {
          throw new Error('rightProof: a third party rejects it');
        }
      }
    }
  };
}

/** Properties that hold at the end; each message begins with the property's name. */
export function missing(cast: DkgCast, outcome: DkgOutcome): readonly string[] {
  const { chosen, shares, undelivered } = outcome;
  const { suites } = cast.config(1);
  const violations: string[] = [];
  if (chosen.size === 0) violations.push('progress: no list became ready');
  if (undelivered > 0) violations.push(`delivered: ${undelivered} shares are missing`);
  const message = utf8('a first message of a section');
  for (const id of chosen.keys()) {
    const all = [...(shares.get(id)?.values() ?? [])];
    const signed = all.map(({ index, secretShare }) => ({
      index,
      signature: suites.threshold.sign(secretShare, 'PROBE', message),
    }));
    const five = suites.threshold.combine(signed.slice(-SHARES_REQUIRED));
    const [first] = all;
    if (first === undefined || five === undefined)
      violations.push('signs: no candidate has a share');
    else if (!suites.threshold.verify(first.key, 'PROBE', message, five)) {
      violations.push('signs: five shares do not sign');
    }
    const four = suites.threshold.combine(signed.slice(0, SHARES_REQUIRED - 1));
    if (
      first !== undefined &&
      four !== undefined &&
      suites.threshold.verify(first.key, 'PROBE', message, four)
    ) {
      violations.push('threshold: four shares sign');
    }
  }
  return violations;
}

/** Computed after every event: hash each list once. */
const ids = new WeakMap<DealingList, string>();

export function idOfList(cast: DkgCast, list: DealingList): string {
  const known = ids.get(list) ?? toHex(listHash(cast.config(1), list));
  ids.set(list, known);
  return known;
}

const firstOf = <T>(map: ReadonlyMap<unknown, T>): T => valueOf([...map.values()][0]);

export function valueOf<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}
