/**
 * The world of a key generation: seven candidates of whom at most two are silent, asleep or lying,
 * what must hold after every event, and what must be there at the end.
 */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { compareBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeDkgFact,
  decodeDkgMessage,
  decodeReady,
  dkg,
  encodeDkgFact,
  encodeDkgMessage,
  encodeReady,
  listHash,
  performDkgJob,
  plainReadyBytes,
  verifyReady,
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
import { createPrng } from './prng.ts';
import { toyDealings } from './toy-dealing.ts';
import { toyIdentity, toyIdentitySuite, toySuite } from './toy-suite.ts';
import {
  run,
  type Checker,
  type Corrupt,
  type Faults,
  type Observation,
  type Report,
  type Scenario,
  type WorldApi,
} from './world.ts';

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

export const toySuites: DkgSuites = {
  identity: toyIdentitySuite,
  threshold: toySuite,
  dealings: toyDealings,
};

export interface Cast {
  readonly configs: ReadonlyMap<NodeId, DkgConfig>;
  readonly ids: readonly NodeId[];
  /** @param index 1…7. */
  readonly config: (index: number) => DkgConfig;
}

/** Seven candidates; `attempt` makes another session of the same seven. */
export function castOf(
  suites: DkgSuites = toySuites,
  nameOf: (seed: Uint8Array) => Uint8Array = toyIdentity,
  attempt = 1,
): Cast {
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
      must(ids[at]),
      {
        self: must(ids[at]),
        identitySeed,
        networkId,
        sessionId,
        candidates,
        fallbackKeys,
        fallbackSecret: must(secrets[at]),
        readyBytes: (list, keys) => plainReadyBytes({ networkId, sessionId }, list, keys),
        gossipEveryMs: 1000,
        suites,
      },
    ]),
  );
  return { configs, ids, config: (index) => must(configs.get(must(ids[index - 1]))) };
}

/** Every message, fact and proof passes its codec, so a run also shows that nothing is lost. */
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
      const ready = decoded(decodeReady(encodeReady(effect.output.ready)));
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

/** Who takes part how, and what is changed to plant a bug. */
export interface Play {
  readonly cast: Cast;
  /** Liars and silent ones: at most two, sleepers included. */
  readonly corrupt?: ReadonlyMap<NodeId, Corrupt<Dkg>>;
  /** A candidate that is not there before the others have finished and forgotten. */
  readonly sleeper?: NodeId;
  readonly machine?: DkgMachine;
  readonly compute?: (job: DkgJob) => DkgResult;
  readonly faults?: Faults;
  readonly healAtMs?: number;
}

export interface Outcome {
  readonly report: Report<DkgState>;
  /** The list that the section picked, of those that were ready, by hex of its hash; any may be. */
  readonly chosen: ReadonlyMap<string, DealingList>;
  /** By list, then by node. */
  readonly shares: ReadonlyMap<string, ReadonlyMap<NodeId, KeyShareSet>>;
  readonly blamed: readonly string[];
  readonly usedFallback: number;
  /** Honest candidates that lack the share of a chosen key. */
  readonly undelivered: number;
}

/** Milliseconds after healing: decide; forget; wake the sleeper; end. */
const decideAfter = 22_000;
const forgetAfter = 28_000;
const wakeAfter = 30_000;
const endAfter = 42_000;

export function play(seed: number, given: Play): Outcome {
  const { cast, sleeper } = given;
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
      // This runs after events only: asking again for what is there makes one at every hour.
      once('clock', () => {
        for (const hour of [decideAfter, forgetAfter, wakeAfter]) {
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
        const key = winner === undefined ? undefined : firstOf(must(shares.get(winner))).key;
        for (const { id: to } of api.nodes()) {
          api.input(to, key === undefined ? { kind: 'lost' } : { kind: 'won', key }, 1);
        }
      });
    }
    if (after >= wakeAfter && sleeper !== undefined) {
      once('wake', () => {
        api.spawn(sleeper, must(cast.configs.get(sleeper)));
        for (const list of chosen.values()) api.input(sleeper, { kind: 'finish', list }, 500);
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
      configs: new Map([...cast.configs].filter(([id]) => id !== sleeper)),
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

/** What must hold after every event. */
function safetyOf(cast: Cast, liars: ReadonlySet<NodeId>): Checker<DkgState, Dkg> {
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
  const isHonest = (candidate: number): boolean => !liars.has(must(cast.ids[candidate - 1]));
  return ({ node, outputs, faults }) => {
    if (!node.honest) return;
    for (const fault of faults) {
      if (!liars.has(fault.culprit)) throw new Error(`noFalseBlame: ${fault.kind}`);
    }
    // What a node has in memory for itself may be lost with it; what others hold was said.
    const own = cast.ids.indexOf(node.id) + 1;
    for (const { dealing, hash } of node.state.dealings.values()) {
      if (dealing.dealer !== own && isHonest(dealing.dealer))
        same(dealings, dealing.dealer, toHex(hash), 'oneDealing');
    }
    for (const [candidate, list] of node.state.named) {
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
        if (must(cast.ids[share.index - 1]) !== node.id) throw new Error('ownIndex');
        const own = must(share.publicShares[share.index - 1]);
        if (toHex(suites.threshold.publicKey(share.secretShare)) !== toHex(own)) {
          throw new Error('rightShare: a share that does not belong to the key');
        }
        same(secrets, `${id} ${node.id}`, toHex(share.secretShare), 'oneShare: it changed');
      } else if (output.kind === 'ready') {
        const { ready } = output;
        same(keys, idOfList(cast, ready.list), toHex(ready.key), 'oneKey: ready for another');
        if (!verifyReady(suites, config, candidates, readyBytes, ready)) {
          throw new Error('rightProof: a stranger does not believe it');
        }
      }
    }
  };
}

/** What must be there at the end; the first words are the name of the property. */
export function missing(cast: Cast, outcome: Outcome): readonly string[] {
  const { chosen, shares, undelivered } = outcome;
  const { suites } = cast.config(1);
  const violations: string[] = [];
  if (chosen.size === 0) violations.push('progress: no list became ready');
  if (undelivered > 0) violations.push(`delivered: ${undelivered} shares are missing`);
  const message = utf8('the first words of a section');
  for (const id of chosen.keys()) {
    const all = [...(shares.get(id)?.values() ?? [])];
    const signed = all.map(({ index, secretShare }) => ({
      index,
      signature: suites.threshold.sign(secretShare, 'PROBE', message),
    }));
    const five = suites.threshold.combine(signed.slice(-SHARES_REQUIRED));
    const [first] = all;
    if (first === undefined || five === undefined) violations.push('signs: nobody has a share');
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

/** Asked for after every event: a list is hashed once. */
const ids = new WeakMap<DealingList, string>();

export function idOfList(cast: Cast, list: DealingList): string {
  const known = ids.get(list) ?? toHex(listHash(cast.config(1), list));
  ids.set(list, known);
  return known;
}

const firstOf = <T>(map: ReadonlyMap<unknown, T>): T => must([...map.values()][0]);

export function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}
