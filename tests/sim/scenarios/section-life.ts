/**
 * Everything together: nodes join, fail and relocate, the section splits and hands over, while
 * clients pay in it and chunks are on the disks of their current holders. Money, membership, key
 * generation and repair are the real machines; only the elliptic curves of the section keys are
 * toys.
 */
import { matches } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { addressOf } from '#money/wallet-address.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  decodeRegistryEntry,
  spendStatementBytes,
  type InputSource,
} from '#money/spend-certificate.ts';
import { genesisKeyPair, walletKeys, type WalletKeys } from '#money/wallet-keys.ts';
import { oneTimeSecret } from '#money/one-time-outputs.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify-transaction.ts';
import { renameBytes, type RelocationCertificate } from '#protocol/membership/index.ts';
import { mintKey, outputName } from '#protocol/mint/index.ts';
import {
  holdersOf,
  itemId,
  maySendCopy,
  openItem,
  replication,
  type ItemId,
} from '#protocol/replication/index.ts';
import {
  createTree,
  sectionFor,
  sectionsOf,
  trustedUpdate,
  treeWith,
  type SectionAuthority,
  type SectionTree,
} from '#protocol/section/index.ts';
import type { SectionNodeState } from '#roles/section-node/index.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { findOutput } from '#safe/wallet/index.ts';
import { toyCurves, type Curves } from '../toys/curves.ts';
import { createPrng, type Prng } from '../prng.ts';
import { chunkItem } from '../replication/replication-net.ts';
import {
  checkElders,
  checkUpToDate,
  createChecker,
  foundSection,
  hintsOf,
  simNodeFor,
  faultyNetwork,
  usualSectionPace,
  type SectionFounding,
  type SimNode,
} from '../section/section-world.ts';
import { keysOfTree } from '../full-node/full-node-money.ts';
import { createFullNodeCompute, fullNode } from '../full-node/full-node.ts';
import type {
  NodeState,
  FullNodeProtocol,
  FullNodeConfig,
  FullNodeFact,
  FullNodeSimState,
} from '../full-node/full-node-state.ts';
import { run, type NodeView, type Observation, type Report, type WorldApi } from '../world.ts';
import type { SimScenario } from './scenario.ts';
import { knownSections } from '../../support/known-sections.ts';

type Api = WorldApi<FullNodeConfig, FullNodeSimState, FullNodeProtocol>;
type View = NodeView<FullNodeSimState>;

const healAtMs = 24_000;
const endAtMs = 60_000;
const pace = { ...usualSectionPace, roundMs: 2_000, graceRounds: 6 };
const amount = 1_000_000n;
const unit = 1_000n;
const coinCount = 7;

/** The same key for every seed: transactions are expensive and contain the network id. */
const networkSeed = 77;
/** Younger than real members, so that relocations happen within a minute instead of a week (AGE-A5). */
const ages = Array.from({ length: 27 }, (_, at) => (at < 7 ? 9 : 2 + (at % 3)));
const bitsOf = (at: number): string => (at % 2 === 0 ? '0' : '1');
const genesis = genesisKeyPair(labelledHash('test/life', utf8('genesis')));
const genesisOutput = { oneTimeKey: genesis.oneTimeKey, amount };
const wallet = (name: string): WalletKeys => walletKeys(labelledHash('test/life', utf8(name)));
const payer = wallet('payer');

interface Bundle {
  readonly id: string;
  readonly transaction: Transaction;
  readonly sources: readonly InputSource[];
  readonly certificates: Extract<InputSource, { kind: 'committed' }>['certificates'] | null;
  readonly rival: boolean;
}

interface Coin {
  readonly secret: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  readonly source: InputSource;
}

/** The common start of all runs with these curves; transactions are the expensive part. */
interface LifeSetup {
  readonly founding: SectionFounding;
  readonly bundles: readonly Bundle[];
  readonly compute: ReturnType<typeof createFullNodeCompute>;
}

const setups = new Map<Curves, LifeSetup>();

function setupOf(curves: Curves): LifeSetup {
  const known = setups.get(curves);
  if (known !== undefined) return known;
  const prng = createPrng(networkSeed);
  const begun = { genesisOutput, curves };
  const founding = foundSection(prng, ages, pace, bitsOf, { vacancies: 8 }, begun);
  const compute = createFullNodeCompute(curves.suites);
  const made = { founding, bundles: bundlesOf(founding), compute };
  setups.set(curves, made);
  return made;
}

/**
 * The genesis output is split under the founding key; then each part is paid, one of them twice.
 */
function bundlesOf({ curves, sealed, anchor }: SectionFounding): readonly Bundle[] {
  const { authority } = sealed.state;
  // Repeats the draw that the founding's polynomial starts with: its constant term.
  const sectionSecret = curves.scalars.reduce(createPrng(networkSeed).bytes(48));
  const built = (
    label: string,
    inputs: readonly Coin[],
    amounts: readonly bigint[],
  ): Transaction => {
    const made = buildTransaction({
      networkId: anchor.networkId,
      inputs,
      outputs: amounts.map((each) => ({
        address: addressOf(payer),
        amount: each,
        memo: new Uint8Array(),
      })),
      fee: 0n,
      recoveryKey: () => labelledHash('test/life/recovery', utf8(label)),
      entropy: labelledHash('test/life/entropy', utf8(label)),
    });
    if (made === undefined) throw new Error('real addresses');
    return made;
  };
  const source = { kind: 'genesis' } as const;
  const secret = genesis.secret.reveal();
  const first = { secret, oneTimeKey: genesis.oneTimeKey, amount, source };
  const parts = Array.from({ length: coinCount }, () => unit);
  const split = built('split', [first], [...parts, amount - unit * BigInt(coinCount)]);
  const certificates = split.inputs.map(({ keyImage }) => {
    const statement = { keyImage, ballot: 0, txid: txidOf(split) };
    const bytes = spendStatementBytes(authority, statement);
    const signature = curves.suites.threshold.sign(sectionSecret, 'COMMIT', bytes);
    return { epoch: 0n, ballot: 0, signature, inclusion: null };
  });
  const transaction = encodeTransaction(split);
  const coins = split.outputs.flatMap((output, index): readonly Coin[] => {
    if (output.amount !== unit) return [];
    const opened = findOutput(payer, split, index);
    if (opened === undefined) throw new Error('our own coin');
    const { oneTimeKey } = output;
    const source = { kind: 'committed', transaction, certificates, index } as const;
    const spendable = oneTimeSecret(payer, opened.tweak);
    return [{ secret: spendable, oneTimeKey, amount: unit, source }];
  });
  const pay = (id: string, coin: Coin | undefined, part: bigint, rival = false): Bundle => {
    if (coin === undefined) throw new Error('enough coins');
    const paid = built(id, [coin], [part, unit - part]);
    return { id, transaction: paid, sources: [coin.source], certificates: null, rival };
  };
  return [
    { id: 'split', transaction: split, sources: [], certificates, rival: false },
    ...coins.slice(1).map((coin, at) => pay(`pays-${at}`, coin, 300n + BigInt(at))),
    pay('rival-a', coins[0], 100n, true),
    pay('rival-b', coins[0], 200n, true),
  ];
}

function nodeConfig({ config, name }: SimNode): FullNodeConfig {
  return {
    kind: 'node',
    section: config,
    genesisOutput,
    store: {
      networkId: config.anchor.networkId,
      self: name,
      identitySeed: config.identitySeed,
      identity: config.suites.identity,
      tickMs: 500,
      budgetBytesPerTick: 400,
      budgetBurstBytes: 800,
      relistEveryTicks: 20,
      machine: replication,
      capacity: 1_000,
      mayHandOver: maySendCopy,
      openItem,
    },
  };
}

const isNode = (view: View): view is View & { readonly state: NodeState } =>
  view.state.kind === 'node';

/** The same nodes as the checks of section-world see them. */
const sectionViews = (report: Report<FullNodeSimState>): Report<SectionNodeState> => ({
  ...report,
  nodes: report.nodes.filter(isNode).map((view) => ({ ...view, state: view.state.section })),
});

export interface LifeOutcome {
  readonly events: number;
  readonly violations: readonly string[];
  readonly undelivered: number;
  readonly summary: string;
}

export function runLife(seed: number, curves: Curves = toyCurves): LifeOutcome {
  const { founding, bundles, compute } = setupOf(curves);
  const { networkId } = founding.anchor;
  const { identity } = curves.suites;
  const prng = createPrng(seed ^ 0x11fe);
  const violations: string[] = [];
  const violate = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  const checker = createChecker();
  let tree: SectionTree = createTree(founding.anchor);
  const learnState = (signed: Parameters<typeof treeWith>[1]): void => {
    const next = treeWith(tree, signed);
    if (next.ok) tree = next.value;
    else violate('two successors of one key');
  };
  learnState(founding.sealed);
  const view = (): PaymentSections => {
    const current = sectionsOf(tree).filter(
      ({ key }) => tree.keys.get(toHex(key))?.successor === null,
    );
    // Until the new elders' first state arrives, clients still use the old elders.
    const ending = sectionsOf(tree).filter(({ key }) => !current.some((c) => c.key === key));
    const keys = keysOfTree(tree, genesisOutput);
    const superseded = keys.superseded.filter(
      ({ key }) => !ending.some((each) => equalBytes(each.key, key)),
    );
    return { ...keys, current: [...current, ...ending], superseded };
  };
  const configs = new Map<NodeId, FullNodeConfig>(
    founding.simNodes.map((simNode) => [simNode.id, nodeConfig(simNode)]),
  );
  for (const { id, transaction, sources, certificates } of bundles) {
    const bundle = {
      transaction: encodeTransaction(transaction),
      sources,
      prepared: null,
      certificates,
    };
    const payment = {
      get sections() {
        return view();
      },
      identity,
      bundle,
      repeatEveryMs: 500,
    };
    configs.set(id, { kind: 'client', payment });
  }
  const chunks = new Map<ItemId, Uint8Array>();
  const written = Array.from({ length: 8 }, () => {
    const bytes = prng.bytes(40);
    const item = chunkItem(bytes);
    chunks.set(itemId(item), item.name);
    return { bytes, name: item.name };
  });
  const amounts = new Map<string, bigint>([[toHex(genesis.oneTimeKey), amount]]);
  for (const { transaction } of bundles) {
    for (const each of transaction.outputs) amounts.set(toHex(each.oneTimeKey), each.amount);
  }

  const lastStates = new Map<string, string>();
  const moving: { readonly atMs: number; readonly id: NodeId; readonly go: (api: Api) => void }[] =
    [];
  const counts = { joined: 0, moved: 0, died: 0, handovers: new Set<string>() };

  const arriveWhole = (
    api: Api,
    simNode: SimNode,
    from: NodeState,
    certificate: RelocationCertificate | null,
    facts: readonly FullNodeFact[] = [],
  ): void => {
    api.spawn(simNode.id, nodeConfig(simNode), undefined, facts);
    api.input(simNode.id, { kind: 'section', input: { kind: 'join', certificate } }, 1);
    const hints = hintsOf(simNode.config, from.section);
    for (const [at, input] of hints.entries()) {
      api.input(simNode.id, { kind: 'section', input }, 2 + at);
    }
  };

  const join = (api: Api): void => {
    const bit = counts.joined % 2 === 0 ? '1' : '0';
    const simNode = simNodeFor(founding.anchor, pace, curves.nameFor(prng, 5, bit), curves);
    const guides = members(api.nodes()).filter(({ state }) =>
      matches(state.section.own?.state.authority.prefix ?? never, simNode.name),
    );
    if (guides.length === 0) return;
    counts.joined += 1;
    arriveWhole(api, simNode, prng.pick(guides).state, null);
  };
  const fail = (api: Api): void => {
    const up = members(api.nodes()).filter((each) => each.up);
    const ids = new Set(up.map(({ id }) => id));
    const mayFail = up.filter(({ state }) => {
      const authority = state.section.own?.state.authority;
      return authority?.elders.every(({ name }) => ids.has(nameToId(name))) === true;
    });
    if (mayFail.length === 0) return;
    counts.died += 1;
    api.stop(prng.pick(mayFail).id);
  };
  /** Clients and repairs carry section proofs between sections: they send each node the newest. */
  const spread = (api: Api): void => {
    const known = new Map<string, ReturnType<typeof knownSections>[number]>();
    for (const { state } of members(api.nodes()).filter((each) => each.up)) {
      for (const section of knownSections(state.section.tree)) {
        const { prefix, generation } = section.authority;
        const id = `${toHex(prefix.bits)}/${prefix.bitCount}`;
        if ((known.get(id)?.authority.generation ?? -1n) < generation) known.set(id, section);
      }
    }
    for (const node of api.nodes().filter(isNode)) {
      if (!node.up) continue;
      for (const page of [...known.values()].flatMap(({ pages }) => pages)) {
        if (api.nowMs < healAtMs && prng.chance(0.3)) continue;
        const input = { kind: 'addProof', update: trustedUpdate(page) } as const;
        api.input(node.id, { kind: 'section', input }, 10 + prng.below(300));
      }
      const { joining } = node.state.section;
      if (joining === null || node.state.section.own !== null) continue;
      const again = { kind: 'join', certificate: joining.certificate } as const;
      api.input(node.id, { kind: 'section', input: again }, 400);
    }
  };
  const store = (api: Api): void => {
    for (const { bytes, name } of written) {
      const holders = holdersOf(founding.sealed.state.authority, name);
      for (const { id } of holders) {
        for (const again of [0, 1_500, 3_000]) {
          api.input(id, { kind: 'store', input: { kind: 'write', bytes } }, again);
        }
      }
    }
  };
  const deeds: { readonly atMs: number; readonly do: (api: Api) => void }[] = [
    { atMs: 50, do: store },
    ...Array.from({ length: 6 }, (_, at) => ({ atMs: 1_500 + at * 1_500, do: join })),
    ...Array.from({ length: 2 }, (_, at) => ({ atMs: 6_000 + at * 9_000, do: fail })),
    ...Array.from({ length: endAtMs / 2_000 }, (_, at) => ({ atMs: at * 2_000, do: spread })),
  ];
  deeds.sort((a, b) => a.atMs - b.atMs);

  const check = (observation: Observation<FullNodeSimState, FullNodeProtocol>): void => {
    const { node, outputs, faults } = observation;
    if (!isNode(node)) {
      for (const output of outputs) {
        if (output.kind !== 'payment') continue;
        const emitted = output.output;
        if (emitted.kind === 'waiting') {
          if (lastStates.get(node.id) !== 'final')
            lastStates.set(node.id, `waiting ${emitted.reason.kind}`);
        } else if (emitted.kind !== 'committing' && emitted.kind !== 'outdated') {
          if (lastStates.get(node.id) === 'registered') continue;
          lastStates.set(node.id, emitted.kind);
        }
      }
      for (const fault of faults) violate(`a client blames an elder: ${fault.kind}`);
      return;
    }
    const own = outputs.flatMap((each) => (each.kind === 'section' ? [each.output] : []));
    const isSection = (fault: FullNodeProtocol['fault']): boolean => !moneyFaults.has(fault.kind);
    for (const fault of faults) {
      if (!isSection(fault)) {
        const what = 'what' in fault ? String(fault.what) : '';
        violate(`an honest peer is blamed: ${fault.kind} ${what}`);
      }
    }
    checker.observe({
      node: { ...node, state: node.state.section },
      outputs: own,
      faults: faults.filter((fault) => isSection(fault)) as never,
    });
    for (const output of own) {
      if (output.kind === 'adopted') {
        learnState(output.sealed);
        const { epoch, prefix } = output.sealed.state.authority;
        counts.handovers.add(`${epoch}/${prefix.bitCount}/${toHex(prefix.bits).slice(0, 2)}`);
      }
    }
    for (const output of outputs) {
      if (output.kind === 'sent' && node.state.stopped.has(output.at)) {
        const isShare = output.payload === 'prepared' || output.payload === 'committed';
        if (isShare) violate('N22: signed after the seal');
      }
      if (output.kind === 'registered') checkEntry(output.entry, networkId, amounts, violate);
    }
  };

  const react = (
    { node, outputs }: Observation<FullNodeSimState, FullNodeProtocol>,
    api: Api,
  ): void => {
    while ((deeds[0]?.atMs ?? Infinity) <= api.nowMs) deeds.shift()?.do(api);
    for (const [at, { atMs, go }] of moving.entries()) {
      if (atMs > api.nowMs) continue;
      moving.splice(at, 1);
      go(api);
      break;
    }
    if (!isNode(node)) {
      if (outputs.some((each) => each.kind === 'payment' && each.output.kind === 'outdated')) {
        api.input(node.id, { kind: 'sections', sections: view() }, 50 + prng.below(300));
      }
      return;
    }
    const own = founding.inputs.find(({ to }) => to === node.id);
    if (own !== undefined && node.state.section.own === null && node.up && api.nowMs % 7 === 0) {
      api.input(node.id, { kind: 'section', input: own.input }, 50);
    }
    for (const output of outputs) {
      if (output.kind !== 'section') continue;
      const emitted = output.output;
      if (emitted.kind === 'probe') {
        const id = nameToId(emitted.name);
        const reachable = api.nodes().some((each) => each.id === id && !each.stopped);
        const input = { kind: 'reached', name: emitted.name, reachable } as const;
        api.input(node.id, { kind: 'section', input }, 5);
      } else if (emitted.kind === 'relocate') {
        if (moving.some(({ id }) => id === node.id)) continue;
        const { details: move, sourceKey, sourceEpoch, signature } = emitted;
        const name = movedName(curves, prng, move.destination, move.age);
        const bytes = renameBytes(networkId, move, name);
        const nameSignature = identity.sign(curves.seedOf(move.name), bytes);
        const certificate = { relocation: move, sourceKey, sourceEpoch, signature, nameSignature };
        const simNode = simNodeFor(founding.anchor, pace, name, curves);
        const { state } = node;
        counts.moved += 1;
        // The node first grinds a name; then the old node ends, and the new one starts on its disk.
        moving.push({
          atMs: api.nowMs + 300 + prng.below(2_000),
          id: node.id,
          go: (then) => {
            then.stop(node.id);
            arriveWhole(then, simNode, state, certificate, then.disk(node.id).filter(isStored));
          },
        });
      }
    }
  };

  const report = run<FullNodeConfig, FullNodeSimState, FullNodeProtocol>(
    {
      machine: fullNode,
      configs,
      inputs: [
        ...founding.inputs.map(({ atMs, to, input }) => ({
          atMs,
          to,
          input: { kind: 'section', input } as const,
        })),
        ...bundles.flatMap(({ id }, at) => {
          const startAtMs = id === 'split' ? 100 : 600 + at * 1_700 + prng.below(800);
          return [startAtMs, startAtMs + 5_000, healAtMs + 3_000].map((atMs) => ({
            atMs,
            to: id,
            input: { kind: 'go' } as const,
          }));
        }),
      ],
      compute,
      faults: {
        ...faultyNetwork,
        crashProbability: 0.000_2,
        partition: { probability: 0.000_02, forMs: [200, 1_500] },
      },
      healAtMs,
      endAtMs,
      react,
    },
    seed,
    check,
  );

  for (const { id, rival, transaction } of bundles) {
    const lastState = lastStates.get(id) ?? 'without an output';
    if (rival) {
      if (!/final|registered|replaced|waiting/.test(lastState))
        violate(`progress: ${id} ended ${lastState}`);
    } else if (lastState !== 'registered') violate(`progress: ${id} ended ${lastState}`);
    if (lastState === 'final' || lastState === 'registered')
      listedNow(report, tree, id, transaction, violate);
  }
  const won = ['rival-a', 'rival-b'].filter((id) =>
    /final|registered/.test(lastStates.get(id) ?? ''),
  );
  if (won.length > 1) violate('noDoubleSpend: both rivals are final');
  const alive = report.nodes.filter((each) => !each.stopped).filter(isNode);
  let undelivered = 0;
  for (const [id, name] of chunks) {
    const copies = new Set(alive.filter(({ state }) => state.store.disk.has(id)).map((e) => e.id));
    if (copies.size === 0) violate('a chunk is lost');
    const home = sectionFor(tree, name);
    const holders = home === undefined ? [] : holdersOf(home, name);
    const live = holders.filter((each) => copies.has(each.id)).length;
    // AGE-A6 leaves eleven members; if one fails, three adults are left.
    const wanted = home === undefined ? 4 : Math.min(4, holders.length);
    if (live < wanted) {
      undelivered += 1;
      violate(`a chunk has ${live} of ${wanted} live copies`);
    }
  }
  const views = sectionViews(report);
  const whole = members(report.nodes).filter(
    ({ state }) => state.section.own?.state.authority.prefix.bitCount !== 1,
  );
  if (whole.length > 0) violate(`${whole.length} members have not split`);
  for (const each of [...checker.violations, ...checkUpToDate(views), ...checkElders(views)]) {
    violate(each);
  }
  const { joined, moved, died, handovers } = counts;
  const payments = [...lastStates].map(([id, lastState]) => `${id} ${lastState}`).join(', ');
  const summary = `${joined} joined, ${moved} moved, ${died} died, keys ${[...handovers].join(' ')}; ${payments}`;
  return { events: report.events, violations, undelivered, summary };
}

/**
 * Facts that a relocating node keeps: stored items and known links; replication's own facts belong
 * to the old name.
 */
const isStored = (fact: FullNodeFact): boolean =>
  (fact.kind === 'store' && fact.fact.kind !== 'inner') ||
  (fact.kind === 'section' && fact.fact.kind === 'links');

const never = { bitCount: 255, bits: new Uint8Array(32) };
const moneyFaults = new Set<string>(['invalidRequest', 'invalidRegistration']);

const members = (views: readonly View[]) =>
  views
    .filter(isNode)
    .filter(
      ({ id, stopped, state }) =>
        !stopped &&
        state.section.own?.state.authority.members.some(({ name }) => nameToId(name) === id) ===
          true,
    );

function movedName(curves: Curves, prng: Prng, destination: Uint8Array, age: number): XorName {
  const bits = [...destination.slice(0, 2)].map((byte) => byte.toString(2).padStart(8, '0'));
  return curves.nameFor(prng, age, bits.join(''));
}

const good = new Set<string>();

/** A listed entry must conserve the amount and spend inputs that were created before. */
function checkEntry(
  bytes: Uint8Array,
  networkId: Uint8Array,
  amounts: ReadonlyMap<string, bigint>,
  violate: (what: string) => void,
): void {
  if (good.has(toHex(bytes))) return;
  const entry = decodeRegistryEntry(bytes);
  if (!entry.ok) throw new Error('a listed line decodes');
  const valid = verifyTransaction(entry.value.transaction, networkId, 'certified');
  if (!valid.ok) return violate(`supplyConserved: registered though ${valid.error}`);
  const { inputs } = valid.value;
  if (!inputs.every(({ oneTimeKey, amount: each }) => amounts.get(toHex(oneTimeKey)) === each)) {
    return violate('supplyConserved: an input from nowhere');
  }
  good.add(toHex(bytes));
}

/** A final payment must be listed by five of the current elders. */
function listedNow(
  report: Report<FullNodeSimState>,
  tree: SectionTree,
  id: string,
  transaction: Transaction,
  violate: (what: string) => void,
): void {
  for (const { oneTimeKey } of transaction.outputs) {
    const home: SectionAuthority | undefined = sectionFor(tree, outputName(oneTimeKey));
    const elders = new Set(home?.elders.map(({ name }) => nameToId(name)));
    const holding = report.nodes.filter(isNode).filter(({ id: node, state }) => {
      if (!elders.has(node) || state.money === null) return false;
      const { inheritance, at } = state.money;
      const own = state.ledgers.get(at)?.outputs.has(mintKey(oneTimeKey)) === true;
      return own || inheritance.outputs.has(toHex(oneTimeKey));
    });
    if (holding.length < 5) violate(`lost: ${id} is listed by ${holding.length}`);
  }
}

export const sectionLifeScenario: SimScenario = {
  name: 'section-life',
  run: (seed) => {
    const { events, violations, undelivered, summary } = runLife(seed);
    if (process.env['SUMMARY'] !== undefined) console.log(`${seed}: ${summary}`);
    return { events, violations, undelivered };
  },
};
