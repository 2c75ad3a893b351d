/**
 * Everything at once: nodes join, die and move, the section splits and hands over, while clients pay
 * across it and chunks lie on the disks of whoever holds them now. Money, membership, key
 * generation and repair are the real machines; only elliptic curves of the section keys are toys.
 */
import { matches } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { addressOf } from '#money/address.ts';
import { buildTransaction } from '#money/build.ts';
import { decodeEntry, statementBytes, type Source } from '#money/certificate.ts';
import { genesisKeyPair, walletKeys, type WalletKeys } from '#money/keys.ts';
import { oneTimeSecret } from '#money/stealth.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify.ts';
import { newNameBytes, type TicketProof } from '#protocol/membership/index.ts';
import { mintKey, outputName } from '#protocol/mint/index.ts';
import {
  holdersOf,
  itemId,
  mayHandOver,
  openItem,
  replication,
  type ItemId,
} from '#protocol/replication/index.ts';
import {
  emptyTree,
  sectionFor,
  sectionsOf,
  storedUpdate,
  treeWith,
  type SectionAuthority,
  type SectionTree,
} from '#protocol/section/index.ts';
import { knownSections, type SectionNodeState } from '#roles/section-node/index.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { findOutput } from '#safe/wallet/index.ts';
import { toyCurves, type Curves } from '../curves.ts';
import { createPrng, type Prng } from '../prng.ts';
import { chunkItem } from '../replication-net.ts';
import {
  checkElders,
  checkUpToDate,
  createChecker,
  found,
  hintsOf,
  personFor,
  rough,
  usualPace,
  type Founding,
  type Person,
} from '../section-world.ts';
import { keysOfTree } from '../whole-books.ts';
import { createWholeCompute, wholeNode } from '../whole-node.ts';
import type { NodeState, Whole, WholeConfig, WholeFact, WholeState } from '../whole-state.ts';
import { run, type NodeView, type Observation, type Report, type WorldApi } from '../world.ts';
import type { SimScenario } from './scenario.ts';

type Api = WorldApi<WholeConfig, WholeState, Whole>;
type View = NodeView<WholeState>;

const healAtMs = 24_000;
const endAtMs = 60_000;
const pace = { ...usualPace, roundMs: 2_000, graceRounds: 6 };
const amount = 1_000_000n;
const unit = 1_000n;
const coinCount = 7;

/** The same key for every seed: transactions are dear and name the network. */
const networkSeed = 77;
/** Younger than anybody can be, so that lots are drawn in a minute and not in a week (A5). */
const ages = Array.from({ length: 27 }, (_, at) => (at < 7 ? 9 : 2 + (at % 3)));
const bitsOf = (at: number): string => (at % 2 === 0 ? '0' : '1');
const genesis = genesisKeyPair(labelledHash('test/life', utf8('genesis')));
const genesisOutput = { oneTimeKey: genesis.oneTimeKey, amount };
const wallet = (name: string): WalletKeys => walletKeys(labelledHash('test/life', utf8(name)));
const payer = wallet('payer');

interface Bundle {
  readonly id: string;
  readonly transaction: Transaction;
  readonly sources: readonly Source[];
  readonly certificates: Extract<Source, { kind: 'committed' }>['certificates'] | null;
  readonly rival: boolean;
}

interface Coin {
  readonly secret: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  readonly source: Source;
}

/** What every run with these curves begins from; transactions are the dear part. */
interface Stage {
  readonly founding: Founding;
  readonly bundles: readonly Bundle[];
  readonly compute: ReturnType<typeof createWholeCompute>;
}

const stages = new Map<Curves, Stage>();

function stageOf(curves: Curves): Stage {
  const known = stages.get(curves);
  if (known !== undefined) return known;
  const prng = createPrng(networkSeed);
  const begun = { genesisOutput, curves };
  const founding = found(prng, ages, pace, bitsOf, { places: 8 }, begun);
  const compute = createWholeCompute(curves.suites);
  const made = { founding, bundles: bundlesOf(founding), compute };
  stages.set(curves, made);
  return made;
}

/** The first coin is split under the founding key; then each part is paid, one of them twice. */
function bundlesOf({ curves, sealed, anchor }: Founding): readonly Bundle[] {
  const { authority } = sealed.state;
  // The first that the founding's polynomial was drawn from.
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
    const bytes = statementBytes(authority, statement);
    const signature = curves.suites.threshold.sign(sectionSecret, 'COMMIT', bytes);
    return { epoch: 0n, ballot: 0, signature, sealed: null };
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

function nodeConfig({ config, name }: Person): WholeConfig {
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
      mayHandOver,
      openItem,
    },
  };
}

const isNode = (view: View): view is View & { readonly state: NodeState } =>
  view.state.kind === 'node';

/** The same nodes as the checks of section-world see them. */
const sectionViews = (report: Report<WholeState>): Report<SectionNodeState> => ({
  ...report,
  nodes: report.nodes.filter(isNode).map((view) => ({ ...view, state: view.state.section })),
});

export interface LifeOutcome {
  readonly events: number;
  readonly violations: readonly string[];
  readonly undelivered: number;
  readonly told: string;
}

export function runLife(seed: number, curves: Curves = toyCurves): LifeOutcome {
  const { founding, bundles, compute } = stageOf(curves);
  const { networkId } = founding.anchor;
  const { identity } = curves.suites;
  const prng = createPrng(seed ^ 0x11fe);
  const violations: string[] = [];
  const violate = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  const checker = createChecker();
  let tree: SectionTree = emptyTree(founding.anchor);
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
    // Until the heirs have spoken the old elders say what there is to say.
    const ending = sectionsOf(tree).filter(({ key }) => !current.some((c) => c.key === key));
    const keys = keysOfTree(tree, genesisOutput);
    const superseded = keys.superseded.filter(
      ({ key }) => !ending.some((each) => equalBytes(each.key, key)),
    );
    return { ...keys, current: [...current, ...ending], superseded };
  };
  const configs = new Map<NodeId, WholeConfig>(
    founding.people.map((person) => [person.id, nodeConfig(person)]),
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

  const words = new Map<string, string>();
  const moving: { readonly atMs: number; readonly id: NodeId; readonly go: (api: Api) => void }[] =
    [];
  const counts = { joined: 0, moved: 0, died: 0, handovers: new Set<string>() };

  const arriveWhole = (
    api: Api,
    person: Person,
    from: NodeState,
    ticket: TicketProof | null,
    facts: readonly WholeFact[] = [],
  ): void => {
    api.spawn(person.id, nodeConfig(person), undefined, facts);
    api.input(person.id, { kind: 'section', input: { kind: 'join', ticket } }, 1);
    const hints = hintsOf(person.config, from.section);
    for (const [at, input] of hints.entries()) {
      api.input(person.id, { kind: 'section', input }, 2 + at);
    }
  };

  const join = (api: Api): void => {
    const bit = counts.joined % 2 === 0 ? '1' : '0';
    const person = personFor(founding.anchor, pace, curves.nameFor(prng, 5, bit), curves);
    const teachers = members(api.nodes()).filter(({ state }) =>
      matches(state.section.own?.state.authority.prefix ?? never, person.name),
    );
    if (teachers.length === 0) return;
    counts.joined += 1;
    arriveWhole(api, person, prng.pick(teachers).state, null);
  };
  const die = (api: Api): void => {
    const up = members(api.nodes()).filter((each) => each.up);
    const ids = new Set(up.map(({ id }) => id));
    const mortal = up.filter(({ state }) => {
      const authority = state.section.own?.state.authority;
      return authority?.elders.every(({ name }) => ids.has(nameToId(name))) === true;
    });
    if (mortal.length === 0) return;
    counts.died += 1;
    api.stop(prng.pick(mortal).id);
  };
  /** Whoever asks a section, or is asked, hears of it: clients and repairs carry the news. */
  const spread = (api: Api): void => {
    const known = new Map<string, ReturnType<typeof knownSections>[number]>();
    for (const { state } of members(api.nodes()).filter((each) => each.up)) {
      for (const section of knownSections(state.section)) {
        const { prefix, generation } = section.authority;
        const id = `${toHex(prefix.bits)}/${prefix.bitCount}`;
        if ((known.get(id)?.authority.generation ?? -1n) < generation) known.set(id, section);
      }
    }
    for (const node of api.nodes().filter(isNode)) {
      if (!node.up) continue;
      for (const page of [...known.values()].flatMap(({ pages }) => pages)) {
        if (api.nowMs < healAtMs && prng.chance(0.3)) continue;
        const input = { kind: 'learn', update: storedUpdate(page) } as const;
        api.input(node.id, { kind: 'section', input }, 10 + prng.below(300));
      }
      const { joining } = node.state.section;
      if (joining === null || node.state.section.own !== null) continue;
      const again = { kind: 'join', ticket: joining.ticket } as const;
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
    ...Array.from({ length: 2 }, (_, at) => ({ atMs: 6_000 + at * 9_000, do: die })),
    ...Array.from({ length: endAtMs / 2_000 }, (_, at) => ({ atMs: at * 2_000, do: spread })),
  ];
  deeds.sort((a, b) => a.atMs - b.atMs);

  const check = (observation: Observation<WholeState, Whole>): void => {
    const { node, outputs, faults } = observation;
    if (!isNode(node)) {
      for (const output of outputs) {
        if (output.kind !== 'payment') continue;
        const said = output.output;
        if (said.kind === 'waiting') {
          if (words.get(node.id) !== 'final') words.set(node.id, `waiting ${said.reason.kind}`);
        } else if (said.kind !== 'prepared' && said.kind !== 'outdated') {
          if (words.get(node.id) === 'registered') continue;
          words.set(node.id, said.kind);
        }
      }
      for (const fault of faults) violate(`a client blames an elder: ${fault.kind}`);
      return;
    }
    const own = outputs.flatMap((each) => (each.kind === 'section' ? [each.output] : []));
    const isSection = (fault: Whole['fault']): boolean => !moneyFaults.has(fault.kind);
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
      if (output.kind === 'said' && node.state.stopped.has(output.at)) {
        const isShare = output.word === 'prepared' || output.word === 'committed';
        if (isShare) violate('N22: signed after the seal');
      }
      if (output.kind === 'registered') checkEntry(output.entry, networkId, amounts, violate);
    }
  };

  const react = ({ node, outputs }: Observation<WholeState, Whole>, api: Api): void => {
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
      const said = output.output;
      if (said.kind === 'probe') {
        const id = nameToId(said.name);
        const reachable = api.nodes().some((each) => each.id === id && !each.stopped);
        const input = { kind: 'reached', name: said.name, reachable } as const;
        api.input(node.id, { kind: 'section', input }, 5);
      } else if (said.kind === 'relocate') {
        if (moving.some(({ id }) => id === node.id)) continue;
        const { moving: move, sourceKey, sourceEpoch, signature } = said;
        const name = movedName(curves, prng, move.destination, move.age);
        const bytes = newNameBytes(networkId, move, name);
        const nameSignature = identity.sign(curves.seedOf(move.name), bytes);
        const ticket = { moving: move, sourceKey, sourceEpoch, signature, nameSignature };
        const person = personFor(founding.anchor, pace, name, curves);
        const { state } = node;
        counts.moved += 1;
        // A name is ground for a while; then the old one ends, and the new one has its disk.
        moving.push({
          atMs: api.nowMs + 300 + prng.below(2_000),
          id: node.id,
          go: (then) => {
            then.stop(node.id);
            arriveWhole(then, person, state, ticket, then.disk(node.id).filter(isStored));
          },
        });
      }
    }
  };

  const report = run<WholeConfig, WholeState, Whole>(
    {
      machine: wholeNode,
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
        // News also comes to a client that does not ask.
      ],
      compute,
      faults: {
        ...rough,
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
    const word = words.get(id) ?? 'silent';
    if (rival) {
      if (!/final|registered|replaced|waiting/.test(word)) violate(`progress: ${id} ended ${word}`);
    } else if (word !== 'registered') violate(`progress: ${id} ended ${word}`);
    if (word === 'final' || word === 'registered')
      listedNow(report, tree, id, transaction, violate);
  }
  const won = ['rival-a', 'rival-b'].filter((id) => /final|registered/.test(words.get(id) ?? ''));
  if (won.length > 1) violate('noDoubleSpend: both rivals are final');
  const alive = report.nodes.filter((each) => !each.stopped).filter(isNode);
  let undelivered = 0;
  for (const [id, name] of chunks) {
    const copies = new Set(alive.filter(({ state }) => state.store.disk.has(id)).map((e) => e.id));
    if (copies.size === 0) violate('a chunk is lost');
    const home = sectionFor(tree, name);
    const holders = home === undefined ? [] : holdersOf(home, name);
    const live = holders.filter((each) => copies.has(each.id)).length;
    // A6 leaves eleven members; of those one may die, and then three adults are all there are.
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
  const payments = [...words].map(([id, word]) => `${id} ${word}`).join(', ');
  const told = `${joined} joined, ${moved} moved, ${died} died, keys ${[...handovers].join(' ')}; ${payments}`;
  return { events: report.events, violations, undelivered, told };
}

/** What was kept lies in the folder; what replication wrote of itself is bound to the name. */
/** What a node that moves keeps under its new name: what it stores, and the links that it knows. */
const isStored = (fact: WholeFact): boolean =>
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

/** Every listed line: a transaction that conserves, of inputs that were made before. */
function checkEntry(
  bytes: Uint8Array,
  networkId: Uint8Array,
  amounts: ReadonlyMap<string, bigint>,
  violate: (what: string) => void,
): void {
  if (good.has(toHex(bytes))) return;
  const entry = decodeEntry(bytes);
  if (!entry.ok) throw new Error('a listed line decodes');
  const valid = verifyTransaction(entry.value.transaction, networkId, 'certified');
  if (!valid.ok) return violate(`supplyConserved: registered though ${valid.error}`);
  const { inputs } = valid.value;
  if (!inputs.every(({ oneTimeKey, amount: each }) => amounts.get(toHex(oneTimeKey)) === each)) {
    return violate('supplyConserved: an input from nowhere');
  }
  good.add(toHex(bytes));
}

/** What became final is on the list of five elders who answer for it now. */
function listedNow(
  report: Report<WholeState>,
  tree: SectionTree,
  id: string,
  transaction: Transaction,
  violate: (what: string) => void,
): void {
  for (const { oneTimeKey } of transaction.outputs) {
    const home: SectionAuthority | undefined = sectionFor(tree, outputName(oneTimeKey));
    const elders = new Set(home?.elders.map(({ name }) => nameToId(name)));
    const holding = report.nodes.filter(isNode).filter(({ id: node, state }) => {
      if (!elders.has(node) || state.books === null) return false;
      const { inheritance, at } = state.books;
      const own = state.ledgers.get(at)?.outputs.has(mintKey(oneTimeKey)) === true;
      return own || inheritance.outputs.has(toHex(oneTimeKey));
    });
    if (holding.length < 5) violate(`lost: ${id} is listed by ${holding.length}`);
  }
}

export const sectionLifeScenario: SimScenario = {
  name: 'section-life',
  run: (seed) => {
    const { events, violations, undelivered, told } = runLife(seed);
    if (process.env['TOLD'] !== undefined) console.log(`${seed}: ${told}`);
    return { events, violations, undelivered };
  },
};
