/**
 * Goal: genesis creates one authority that any peer verifies from the genesis key alone, despite
 * crashes and two of seven founders that send invalid signatures.
 * Method: the genesis role (key generation and signing composed) in the simulator, messages and
 * facts through their codecs; then one seed with the real curves.
 */
import { describe, expect, test } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { compareBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import { blsSuite, type ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { DkgSuites } from '#protocol/dkg/index.ts';
import {
  encodeSignedAuthority,
  networkIdOf,
  SHARES_REQUIRED,
  verifySignedAuthority,
} from '#protocol/section/index.ts';
import {
  genesisAttemptId,
  decodeGenesisFact,
  decodeGenesisMessage,
  encodeGenesisFact,
  encodeGenesisMessage,
  genesis,
  performGenesisJob,
  type GenesisOutcome,
  type Genesis,
  type GenesisConfig,
  type GenesisFact,
  type GenesisState,
} from '#roles/genesis/index.ts';
import { toyDkgSuites } from './dkg-world.ts';
import { createRealCurves } from '../toys/curves.ts';
import { toyIdentity, toySuite } from '../toys/toy-suite.ts';
import { run, type Checker, type Corrupt, type Faults, type Scenario } from '../world.ts';

const seeds: readonly number[] =
  process.env['SEED'] === undefined
    ? Array.from({ length: 40 }, (_, i) => i + 1)
    : [Number(process.env['SEED'])];

const hostile: Faults = {
  latencyMs: [1, 400],
  dropProbability: 0.2,
  duplicateProbability: 0.1,
  crashProbability: 0.02,
  restartAfterMs: [10, 3000],
  cutProbability: 0.02,
  computeMs: [0, 200],
};

type Name = (seed: Uint8Array) => Uint8Array;
type GenesisMachine = Machine<GenesisConfig, GenesisState, Genesis>;
type GenesisScenario = Scenario<GenesisConfig, GenesisState, Genesis>;

function castOf(suites: DkgSuites, nameOf: Name): ReadonlyMap<NodeId, GenesisConfig> {
  const identities = Array.from({ length: 13 }, (_, i) => sha256(utf8(`node ${i}`))).map(
    (seed) => ({
      identitySeed: seed,
      name: toXorName(nameOf(seed)),
      sharingSecret: suites.dealings.toSharingSecret(seed),
    }),
  );
  const founders = identities.slice(0, 7).sort((a, b) => compareBytes(a.name, b.name));
  const shared = {
    adults: identities.slice(7).map(({ name }) => name),
    networkName: 'sim',
    nonce: sha256(utf8('nonce')),
    genesisOutput: { oneTimeKey: sha256(utf8('faucet')), amount: 10n ** 15n },
    sharingKeys: new Map(
      identities.map(({ name, sharingSecret }) => [
        nameToId(name),
        suites.dealings.sharingKey(sharingSecret),
      ]),
    ),
    gossipEveryMs: 1000,
    suites,
  };
  return new Map(
    founders.map(({ identitySeed, sharingSecret, name }, at) => {
      const self = nameToId(name);
      // The order in a configuration file is arbitrary: rotate it per candidate.
      const names = founders.map((each) => each.name);
      const candidates = [...names.slice(at), ...names.slice(0, at)];
      return [self, { ...shared, self, identitySeed, sharingSecret, candidates }];
    }),
  );
}

function scenarioOf(
  configs: ReadonlyMap<NodeId, GenesisConfig>,
  changes: Partial<GenesisScenario> = {},
): GenesisScenario {
  const { suites } = must([...configs.values()][0]);
  return {
    machine: overTheWire,
    configs,
    inputs: [],
    compute: (job) => performGenesisJob(job, suites),
    faults: hostile,
    healAtMs: 10_000,
    endAtMs: 40_000,
    ...changes,
  };
}

const overTheWire: GenesisMachine = {
  start: (config, facts, context) => through(genesis.start(config, facts, context)),
  step: (config, state, event, context) => through(genesis.step(config, state, event, context)),
};

function through(step: Step<GenesisState, Genesis>): Step<GenesisState, Genesis> {
  const effects = step.effects.map((effect): Effect<Genesis> => {
    if (effect.kind === 'send') {
      const decoded = decodeGenesisMessage(encodeGenesisMessage(effect.message));
      if (!decoded.ok) throw new Error('a message its own codec refuses');
      return { ...effect, message: decoded.value };
    }
    if (effect.kind !== 'persist') return effect;
    const decoded = decodeGenesisFact(encodeGenesisFact(effect.fact));
    if (!decoded.ok) throw new Error('a fact its own codec refuses');
    return { ...effect, fact: decoded.value };
  });
  return { state: step.state, effects };
}

/** One authority that any peer verifies; only liars are blamed; a share never changes. */
function safety(
  suite: ThresholdSuite,
  liars: ReadonlySet<NodeId>,
  bornById: Map<NodeId, GenesisOutcome>,
): Checker<GenesisState, Genesis> {
  let agreed: string | undefined;
  return ({ node, outputs, faults }) => {
    for (const { kind, culprit } of faults) {
      if (!liars.has(culprit)) throw new Error(`noFalseBlame: ${kind}`);
    }
    for (const output of outputs) {
      const { signed, secretShare, index } = output;
      const { key } = signed.authority;
      const anchor = { genesisKey: key, networkId: networkIdOf(key, 'sim') };
      const believed = verifySignedAuthority(suite, anchor, signed);
      if (!believed.ok) throw new Error(`believed: ${believed.error.kind}`);
      const bytes = toHex(encodeSignedAuthority(signed));
      agreed ??= bytes;
      if (bytes !== agreed) throw new Error('oneAuthority');
      const elder = must(signed.authority.elders[index - 1]);
      if (nameToId(elder.name) !== node.id) throw new Error('ownIndex');
      expect(suite.publicKey(secretShare)).toEqual(elder.publicShare);
      expect(bornById.get(node.id)?.secretShare ?? secretShare).toEqual(secretShare);
      bornById.set(node.id, output);
    }
  };
}

function expectElders(suite: ThresholdSuite, bornById: ReadonlyMap<NodeId, GenesisOutcome>): void {
  expect(bornById.size).toBe(7);
  const message = utf8('a later vote');
  const all = [...bornById.values()];
  const shares = all.slice(2).map(({ index, secretShare }) => ({
    index,
    signature: suite.sign(secretShare, 'PREPARE', message),
  }));
  expect(shares.length).toBe(SHARES_REQUIRED);
  const combined = must(suite.combine(shares));
  expect(suite.verify(must(all[0]).signed.authority.key, 'PREPARE', message, combined)).toBe(true);
}

describe('genesis', () => {
  const configs = castOf(toyDkgSuites, toyIdentity);
  const ids = [...configs.keys()];

  test('GENESIS-G1–G5: forty seeds → all seven complete genesis with one authority', () => {
    let crashes = 0;
    for (const seed of seeds) {
      named(seed, () => {
        const completed = new Map<NodeId, GenesisOutcome>();
        const report = run(scenarioOf(configs), seed, safety(toySuite, new Set(), completed));
        expectElders(toySuite, completed);
        crashes += report.trace.filter(({ label }) => label === 'crash').length;
      });
    }
    expect(crashes).toBeGreaterThan(seeds.length / 2);
  });

  test('the same seed twice → the same trace', () => {
    for (const seed of seeds.slice(0, 6)) {
      const [first, again] = [1, 2].map(() =>
        run(scenarioOf(configs), seed, safety(toySuite, new Set(), new Map())),
      );
      expect(JSON.stringify(again?.trace)).toBe(JSON.stringify(first?.trace));
    }
  });

  test('GENESIS-G2: two liars send invalid signatures → they are blamed, and genesis completes', () => {
    const liars = new Set(ids.slice(0, 2));
    let blamed = 0;
    const rubbish: Corrupt<Genesis> = (message, _, prng) =>
      message.kind === 'share' || message.kind === 'complete'
        ? [
            {
              ...message,
              kind: prng.pick(['share', 'complete'] as const),
              signature: prng.bytes(48),
            },
          ]
        : [message];
    const corrupt = new Map([...liars].map((id) => [id, rubbish]));
    for (const seed of seeds) {
      named(seed, () => {
        const completed = new Map<NodeId, GenesisOutcome>();
        const check = safety(toySuite, liars, completed);
        run(scenarioOf(configs, { corrupt }), seed, (seen) => {
          blamed += seen.faults.length;
          check(seen);
        });
        expectElders(toySuite, completed);
      });
    }
    expect(blamed).toBeGreaterThan(seeds.length);
  });

  test("GENESIS-G3, GENESIS-G4: a founder's share and result are on its own disk before it announces them", () => {
    const disks = new Map<NodeId, GenesisFact[]>();
    const recording = watched((config, { effects }) => {
      const disk = disks.get(config.self) ?? [];
      for (const effect of effects) {
        if (effect.kind === 'persist') disk.push(effect.fact);
        const isSent = effect.kind === 'send' && effect.message.kind === 'complete';
        const isOutput = effect.kind === 'output' && effect.output.kind === 'complete';
        if (isSent || isOutput) expect(disk.some(({ kind }) => kind === 'complete')).toBe(true);
      }
      disks.set(config.self, disk);
    });
    const completed = new Map<NodeId, GenesisOutcome>();
    const faults = { ...hostile, crashProbability: 0 };
    const scenario = scenarioOf(configs, { machine: recording, faults });
    run(scenario, 3, safety(toySuite, new Set(), completed));
    for (const [id, config] of configs) {
      // Restored from its facts alone: the others may be gone by now.
      const context = { now: 0, entropy: sha256(utf8('later')) };
      const { state, effects } = genesis.start(config, must(disks.get(id)), context);
      expect(state.kind).toBe('complete');
      const outputs = effects.filter(({ kind }) => kind !== 'clearTimer');
      expect(outputs).toEqual([{ kind: 'output', output: must(completed.get(id)) }]);
    }
  });

  test('messages of another attempt or of unknown peers → ignored', () => {
    const [alice, bob] = [must(ids[0]), must(ids[1])];
    const config = must(configs.get(alice));
    const context = { now: 0, entropy: sha256(utf8('entropy')) };
    const { state } = genesis.start(config, [], context);
    const { candidates, networkName, nonce } = config;
    const sessionId = genesisAttemptId({ candidates, networkName, nonce });
    const earlier = genesisAttemptId({ candidates, networkName, nonce: sha256(nonce) });
    const take = (from: NodeId, id: Uint8Array) => {
      const message = { kind: 'share', sessionId: id, signature: new Uint8Array(48) } as const;
      return genesis.step(config, state, { kind: 'received', from, message }, context).state;
    };
    expect(take(bob, earlier)).toBe(state);
    expect(take('00'.repeat(32), sessionId)).toBe(state);
    expect(take(alice, sessionId)).toBe(state);
    expect(take(bob, sessionId)).not.toBe(state);
  });

  const planted: readonly { readonly name: string; readonly machine: GenesisMachine }[] = [
    {
      name: 'sent before the share is on disk (GENESIS-G3)',
      machine: edited(({ state, effects }) => ({
        state,
        effects: [...effects].sort(
          (a, b) => Number(a.kind === 'persist') - Number(b.kind === 'persist'),
        ),
      })),
    },
    {
      name: 'facts of the key generation lost (GENESIS-G4)',
      machine: edited(({ state, effects }) => ({
        state,
        effects: effects.filter(
          (effect) => effect.kind !== 'persist' || effect.fact.kind !== 'dkg',
        ),
      })),
    },
    {
      name: 'own share asked for once and never again (GENESIS-G5)',
      machine: edited(({ state, effects }) => ({
        state,
        effects: effects.filter(
          (effect) => effect.kind !== 'setTimer' || effect.timer.kind !== 'gossip',
        ),
      })),
    },
  ];

  test.each(planted)('planted bug is found: $name', ({ machine }) => {
    const clean = (seed: number): boolean => {
      try {
        const completed = new Map<NodeId, GenesisOutcome>();
        run(scenarioOf(configs, { machine }), seed, safety(toySuite, new Set(), completed));
        return completed.size === 7;
      } catch {
        return false;
      }
    };
    expect(seeds.every(clean)).toBe(false);
  });

  test('with the real curves: one seed with crashes', { timeout: 300_000 }, () => {
    const real = castOf(createRealCurves().suites, ed25519PublicKey);
    const completed = new Map<NodeId, GenesisOutcome>();
    const faults = { ...hostile, dropProbability: 0.1, crashProbability: 0.01 };
    const scenario = scenarioOf(real, { faults, healAtMs: 4000, endAtMs: 30_000 });
    const report = run(scenario, 7, safety(blsSuite, new Set(), completed));
    expect(report.trace.some(({ label }) => label === 'crash')).toBe(true);
    expectElders(blsSuite, completed);
  });
});

/** The machine itself, with every step passed to `watch`. */
function watched(
  watch: (config: GenesisConfig, step: Step<GenesisState, Genesis>) => void,
): GenesisMachine {
  const seen = (config: GenesisConfig, step: Step<GenesisState, Genesis>) => {
    watch(config, step);
    return step;
  };
  return {
    start: (config, facts, context) => seen(config, genesis.start(config, facts, context)),
    step: (config, state, event, context) =>
      seen(config, genesis.step(config, state, event, context)),
  };
}

function edited(
  edit: (step: Step<GenesisState, Genesis>) => Step<GenesisState, Genesis>,
): GenesisMachine {
  return {
    start: (config, facts, context) => edit(genesis.start(config, facts, context)),
    step: (config, state, event, context) => edit(genesis.step(config, state, event, context)),
  };
}

function named(seed: number, body: () => void): void {
  try {
    body();
  } catch (error) {
    throw new Error(`SEED=${seed} npx vitest run tests/sim/dkg/dkg-genesis.test.ts`, {
      cause: error,
    });
  }
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}
