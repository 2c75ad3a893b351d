/**
 * Payments in flight while an epoch seals, hands over to partly or wholly new elders, or splits in
 * two. Real: spentbook, mint, payment, snapshots, merging, successor records. Stubbed: the agreement
 * on the sealed set (five could have voted for the one that is picked) and anti-entropy to clients.
 */
import { EMPTY_PREFIX, child, matches, type Prefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { buildTransaction } from '#money/build.ts';
import {
  decodeEntry,
  onlySection,
  sectionKeyHash,
  statementBytes,
  type MoneySection,
  type SectionKeys,
  type Source,
  type SupersededKey,
} from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { mergeSnapshots, sortEntries, type SealedEntry } from '#money/snapshot.ts';
import { oneTimeSecret } from '#money/stealth.ts';
import { encodeTransaction, slotName, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify.ts';
import {
  decodeHandoverMessage,
  encodeHandoverMessage,
  supersededBy,
  type HandoverNews,
  type SealedArchive,
} from '#protocol/handover/index.ts';
import { encodeMintRequest, outputName } from '#protocol/mint/index.ts';
import { snapshotBytes, type SignedSnapshot } from '#protocol/membership/index.ts';
import {
  charterHash,
  emptyLedger,
  successorHash,
  type Charter,
  type SectionState,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { decodeSpentbookAnswer } from '#protocol/spentbook/index.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { findOutput } from '#safe/wallet/index.ts';
import {
  addressFor,
  genesis,
  genesisAmount,
  keysOf,
  networkId,
  seedOf,
  toyIdentity,
  toyName,
} from '../../unit/money/fixtures.ts';
import { createPrng, type Prng } from '../prng.ts';
import { createSeal, createSealCompute } from '../seal-net.ts';
import {
  honestSeal,
  type Seal,
  type SealConfig,
  type SealMessage,
  type SealParts,
  type SealState,
  type Term,
} from '../seal-state.ts';
import { toyScalars, toySuite } from '../toy-suite.ts';
import { run, type Corrupt, type Observation, type WorldApi } from '../world.ts';
import type { SimScenario } from './scenario.ts';

/** What elders sign with, alone and together. */
export interface SealCurves {
  readonly scalars: ScalarField;
  readonly threshold: ThresholdSuite;
  readonly identity: IdentitySuite;
  readonly nameOf: (seed: Uint8Array) => Uint8Array;
}

const toyCurves: SealCurves = {
  scalars: toyScalars,
  threshold: toySuite,
  identity: toyIdentity,
  nameOf: toyName,
};

interface Person {
  readonly seed: Uint8Array;
  readonly name: ReturnType<typeof toXorName>;
  readonly id: string;
}

interface DealtKey {
  readonly charter: Charter;
  readonly section: MoneySection;
  readonly secret: Uint8Array;
  readonly shares: ReadonlyMap<string, Uint8Array>;
}

const peopleOf = ({ nameOf }: SealCurves): readonly Person[] =>
  Array.from({ length: 21 }, (_, i) => {
    const seed = seedOf(`seal ${i}`);
    const name = toXorName(nameOf(seed));
    return { seed, name, id: toHex(name) };
  });

/** A key that a dealer drew: a test's shortcut. */
function deal(
  { scalars, threshold }: SealCurves,
  label: string,
  people: readonly Person[],
  prefix: Prefix,
  epoch: bigint,
): DealtKey {
  const coefficients = Array.from({ length: 5 }, (_, k) =>
    scalars.reduce(
      concat(
        labelledHash('test/seal', utf8(label), Uint8Array.of(k)),
        labelledHash('test/seal2', utf8(label), Uint8Array.of(k)),
      ),
    ),
  );
  const secret = scalars.evaluate(coefficients, 0);
  const sorted = [...people].sort((a, b) => compareBytes(a.name, b.name));
  const shares = new Map<string, Uint8Array>();
  const elders = sorted.map(({ name, id }, i) => {
    const share = scalars.evaluate(coefficients, i + 1);
    shares.set(id, share);
    return { name, publicShare: threshold.publicKey(share), index: i + 1 };
  });
  const key = threshold.publicKey(secret);
  const charter: Charter = { networkId, prefix, key, epoch, elders };
  const genesisOutput = { oneTimeKey: genesis.oneTimeKey, amount: genesisAmount };
  return { charter, section: { ...charter, genesisOutput }, secret, shares };
}

/** What a whole section would sign for every input. */
const certify = (
  { threshold }: SealCurves,
  { section, secret }: DealtKey,
  phase: 'PREPARE' | 'COMMIT',
  body: Transaction,
) =>
  body.inputs.map(({ keyImage }) => {
    const statement = { keyImage, ballot: 0, txid: txidOf(body) };
    const signature = threshold.sign(secret, phase, statementBytes(section, statement));
    return { epoch: section.epoch, ballot: 0, signature, sealed: null };
  });

type Expect = 'registered' | 'rival';

interface Actor {
  readonly id: string;
  readonly transaction: Transaction;
  readonly sources: readonly Source[];
  readonly expect: Expect;
  readonly startAtMs: number;
}

interface Stage {
  readonly people: readonly Person[];
  readonly zero: DealtKey;
  readonly old: DealtKey;
  readonly heirs: Readonly<Record<Succession, readonly DealtKey[]>>;
  /** Keys of a session that nobody decided: to hand over to them is N21's crime. */
  readonly rivals: readonly DealtKey[];
  readonly archives: readonly SealedArchive[];
  readonly actors: readonly Actor[];
  readonly amounts: ReadonlyMap<string, bigint>;
  readonly forged: Transaction;
}

type Succession = 'partly' | 'wholly' | 'split';

const closeAtMs = 2_000;
const healAtMs = 9_000;
const endAtMs = 30_000;
const stages = new Map<SealCurves, Stage>();

/** Made once: transactions are the dear part. */
function stage(curves: SealCurves): Stage {
  const made = stages.get(curves) ?? makeStage(curves);
  stages.set(curves, made);
  return made;
}

function makeStage(curves: SealCurves): Stage {
  const people = peopleOf(curves);
  const zero = deal(curves, 'zero', people.slice(0, 7), EMPTY_PREFIX, 0n);
  const old = deal(curves, 'old', people.slice(0, 7), EMPTY_PREFIX, 1n);
  const heirs = {
    partly: [deal(curves, 'partly', people.slice(4, 11), EMPTY_PREFIX, 2n)],
    wholly: [deal(curves, 'wholly', people.slice(7, 14), EMPTY_PREFIX, 2n)],
    split: [
      deal(curves, 'left', people.slice(3, 10), child(EMPTY_PREFIX, 0), 2n),
      deal(
        curves,
        'right',
        [...people.slice(0, 3), ...people.slice(10, 14)],
        child(EMPTY_PREFIX, 1),
        2n,
      ),
    ],
  };
  const rivals = [deal(curves, 'rival', people.slice(14, 21), EMPTY_PREFIX, 2n)];

  const owners = ['alice', 'bob', 'carol'] as const;
  const unit = 1_000n;
  const coinCount = 12;
  const split = made(
    'split',
    [genesisCoin()],
    [
      ...Array.from({ length: coinCount }, (_, i) => ({
        address: addressFor(owners[i % 3] ?? 'alice'),
        amount: unit,
      })),
      { address: addressFor('faucet'), amount: genesisAmount - BigInt(coinCount) * unit },
    ],
  );
  // The first coin was spent in epoch 0, so every source of this scenario needs its path (N34).
  const certificates = certify(curves, zero, 'COMMIT', split);
  const bytes = encodeTransaction(split);
  const [first] = split.inputs;
  const [certificate] = certificates;
  if (first === undefined || certificate === undefined) throw new Error('one input');
  const txid = txidOf(split);
  const entries: readonly SealedEntry[] = sortEntries([
    { kind: 'decided', slot: slotName(first.keyImage), txid, transaction: bytes, certificate },
  ]);
  const { sealedRoot } = mergeSnapshots([1, 2, 3, 4, 5].map((elder) => ({ elder, entries })));
  const archives = [{ epoch: 0n, sealedRoot, entries }];

  const coins = owners.flatMap((owner) => coinsOf(owner, split, certificates));
  const take = (): Owned => {
    const coin = coins.pop();
    if (coin === undefined) throw new Error('enough coins');
    return coin;
  };
  const pay = (name: string, inputs: readonly Owned[], amount: bigint): Transaction => {
    const total = inputs.reduce((sum, each) => sum + each.amount, 0n);
    return made(name, inputs, [
      { address: addressFor('bob'), amount },
      { address: addressFor('alice'), amount: total - amount },
    ]);
  };
  const actors: Actor[] = [];
  const act = (
    id: string,
    inputs: readonly Owned[],
    transaction: Transaction,
    startAtMs: number,
    expect: Expect = 'registered',
  ): void => {
    const sources = transaction.inputs.map(({ oneTimeKey }) => {
      const coin = inputs.find((each) => equalBytes(each.oneTimeKey, oneTimeKey));
      if (coin === undefined) throw new Error('an input without a coin');
      return coin.source;
    });
    actors.push({ id, transaction, sources, expect, startAtMs });
  };
  // Payments spread over the stop, one of two coins (in a split, perhaps of two sections).
  for (const [i, startAtMs] of [200, 1_500, 1_850, 4_500].entries()) {
    const coin = take();
    act(`pays-${i}`, [coin], pay(`pays ${i}`, [coin], 300n + BigInt(i)), startAtMs);
  }
  const pair = [take(), take()];
  act('joined', pair, pay('joined', pair, 1_500n), 1_700);
  // Rivals for one coin: the first is about to be final when the epoch seals.
  for (const [i, startAtMs] of [900, 1_600, 1_800].entries()) {
    const coin = take();
    act(`early-${i}`, [coin], pay(`early ${i}`, [coin], 500n + BigInt(i)), startAtMs, 'rival');
    act(`late-${i}`, [coin], pay(`late ${i}`, [coin], 600n + BigInt(i)), 6_500, 'rival');
  }
  const victim = take();
  const forged = pay('forged', [victim], 777n);
  const amounts = new Map([[toHex(genesis.oneTimeKey), genesisAmount]]);
  for (const { transaction } of actors) {
    for (const { oneTimeKey, amount } of transaction.outputs)
      amounts.set(toHex(oneTimeKey), amount);
  }
  for (const { oneTimeKey, amount } of split.outputs) amounts.set(toHex(oneTimeKey), amount);
  return { people, zero, old, heirs, rivals, archives, actors, amounts, forged };
}

interface Owned {
  readonly secret: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  readonly source: Source;
}

const genesisCoin = (): Owned => ({
  secret: genesis.secret.reveal(),
  oneTimeKey: genesis.oneTimeKey,
  amount: genesisAmount,
  source: { kind: 'genesis' },
});

function made(
  name: string,
  inputs: readonly Owned[],
  outputs: readonly { readonly address: ReturnType<typeof addressFor>; readonly amount: bigint }[],
): Transaction {
  const built = buildTransaction({
    networkId,
    inputs,
    outputs: outputs.map((output) => ({ ...output, memo: new Uint8Array() })),
    fee: 0n,
    recoveryKey: () => seedOf(`recovery ${name}`),
    entropy: seedOf(`entropy ${name}`),
  });
  if (built === undefined) throw new Error('real addresses');
  return built;
}

const coinsOf = (
  owner: string,
  transaction: Transaction,
  certificates: ReturnType<typeof certify>,
): readonly Owned[] =>
  transaction.outputs.flatMap((output, index) => {
    const opened = findOutput(keysOf(owner), transaction, index);
    if (opened === undefined) return [];
    const { oneTimeKey, amount } = output;
    const bytes = encodeTransaction(transaction);
    const source = { kind: 'committed', transaction: bytes, certificates, index } as const;
    return [{ secret: oneTimeSecret(keysOf(owner), opened.tweak), oneTimeKey, amount, source }];
  });

const elderName = (key: DealtKey, index: number): string =>
  toHex(key.charter.elders[index - 1]?.name ?? new Uint8Array());

export interface SealEnding {
  readonly events: number;
  readonly violations: readonly string[];
  readonly undelivered: number;
  readonly words: ReadonlyMap<string, string>;
  readonly kind: Succession;
}

const good = new Set<string>();
type Compute = ReturnType<typeof createSealCompute>;
const computes = new Map<SealCurves, Map<SealParts, Compute>>();

function computeOf(parts: SealParts, curves: SealCurves): Compute {
  const known = computes.get(curves) ?? new Map<SealParts, Compute>();
  computes.set(curves, known);
  const compute = known.get(parts) ?? createSealCompute(parts, curves.threshold);
  known.set(parts, compute);
  return compute;
}

/** One seed: the kind of succession, the liars and the weather follow from it. */
export function runSeal(
  seed: number,
  parts: SealParts = honestSeal,
  calm = false,
  curves: SealCurves = toyCurves,
): SealEnding {
  const { people, zero, old, heirs: choices, ...rest } = stage(curves);
  const { rivals, archives, actors, amounts, forged } = rest;
  const prng = createPrng(seed ^ 0x5ea1);
  const kinds = ['partly', 'wholly', 'split'] as const;
  const kind = kinds[seed % 3] ?? 'partly';
  const heirs = choices[kind];
  const liarCount = calm ? 0 : ([2, 0, 1][(seed >> 1) % 3] ?? 0);
  const liars = new Set<string>();
  while (liars.size < liarCount) liars.add(elderName(old, 1 + prng.below(7)));
  const hiding = prng.chance(0.7);

  const [archive] = archives;
  if (archive === undefined) throw new Error('epoch 0');
  const { sealedRoot } = archive;
  const before: SupersededKey = { ...zero.charter, sealedRoot };
  const viewOld: SectionKeys = { ...onlySection(old.section), superseded: [before] };
  const clientView: PaymentSections = { ...viewOld, current: [old.charter] };
  const members = [...old.charter.elders, ...heirs.flatMap(({ charter }) => charter.elders)];
  const names = [...new Map(members.map(({ name }) => [toHex(name), name])).values()];
  const closing: SectionState = {
    authority: {
      ...old.charter,
      generation: 40n,
      members: names
        .sort(compareBytes)
        .map((name) => ({ name, joined: 0n, placement: name, sharingKey: name })),
      ledgerRoot: new Uint8Array(32),
      genesisOutput: old.section.genesisOutput,
    },
    ledger: {
      ...emptyLedger,
      phase: {
        kind: 'closing',
        sessionId: seedOf('session'),
        charters: heirs.map(({ charter }) => charter),
      },
    },
  };

  const { identity } = curves;
  const configs = new Map<string, SealConfig>();
  const involved = people.filter(({ id }) => names.some((name) => toHex(name) === id));
  // The heirs' view of the old key lacks its root until it is known: set when the world learns it.
  const heirKnown: { view: SectionKeys } = { view: viewOld };
  const newest: { view: PaymentSections } = { view: clientView };
  for (const { id, name, seed: identitySeed } of involved) {
    const oldShare = old.shares.get(id);
    const heir = heirs.find(({ shares }) => shares.has(id));
    const heirShare = heir?.shares.get(id);
    const term = (key: DealtKey, secretShare: Uint8Array, known: () => SectionKeys): Term => ({
      section: key.section,
      get known() {
        return known();
      },
      secretShare,
    });
    configs.set(id, {
      kind: 'elder',
      name,
      identitySeed,
      identity,
      handover: {
        name,
        closing,
        identity,
        identitySeed,
        secretShare: oldShare ?? null,
        repeatEveryMs: 300,
      },
      old: oldShare === undefined ? null : term(old, oldShare, () => viewOld),
      heir:
        heir === undefined || heirShare === undefined
          ? null
          : term(heir, heirShare, () => heirKnown.view),
      archives,
      hides: liars.has(id) && hiding,
    });
  }
  for (const { id, transaction, sources } of actors) {
    const bundle = {
      transaction: encodeTransaction(transaction),
      sources,
      prepared: null,
      certificates: null,
    };
    const payment = {
      // Whoever begins, or begins again, knows what the world knows by then.
      get sections() {
        return newest.view;
      },
      identity,
      bundle,
      repeatEveryMs: 400,
    };
    configs.set(id, { kind: 'client', payment });
  }
  configs.set('mallory', forgery(curves, old, heirs, forged));

  // What the world has seen.
  const violations: string[] = [];
  const violate = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  const words = new Map<string, string>();
  const signers = new Map<string, Map<string, Set<string>>>();
  const records = new Map<string, Set<string>>();
  const byRequest = requestTable(actors, [old, ...heirs]);
  const merges = new Map<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly root: Uint8Array }
  >();
  const tempted = new Set<string>();
  const listed = new Set<string>();
  let decided: SectionState | undefined;
  let published: SignedSuccessor | undefined;

  const check = ({ node, outputs, faults }: Observation<SealState, Seal>): void => {
    const { id, state } = node;
    const honest = !liars.has(id);
    if (honest) {
      for (const { culprit, kind: what } of faults) {
        const guilty = liars.has(culprit) || culprit === 'mallory';
        if (!guilty) violate(`noFalseBlame: ${what}`);
      }
    }
    // A choice that died before it was written was told to nobody: it was none.
    if (state.kind === 'elder' && honest && node.up && state.handover?.chosen) {
      const hash = toHex(successorHash(state.handover.chosen));
      records.set(hash, (records.get(hash) ?? new Set()).add(id));
      const chosen = [...records.values()].filter((who) => who.has(id)).length;
      if (chosen > 1) violate('N20: one elder chose two records');
      const able = [...records.values()].filter((who) => who.size + 2 >= 5).length;
      if (able > 1) violate('N20: two successors can be signed');
      const named = heirs.map(({ charter }) => toHex(charterHash(charter))).join();
      const signed = state.handover.chosen.children.map((each) => toHex(each.charterHash)).join();
      if (named !== signed) violate('N21: another session succeeds');
    }
    if (state.kind === 'elder' && honest && state.handover?.released === true) {
      const { receipts } = state.handover;
      for (const at of heirs.keys()) {
        const count = [...receipts.values()].filter((each) => each.child === at).length;
        if (count < 5) violate('N27: snapshots released before five receipts');
      }
    }
    for (const output of outputs) {
      if (output.kind === 'said' && honest && state.kind === 'elder') {
        const answer = decodeSpentbookAnswer(output.message);
        if (!answer.ok) throw new Error('an honest elder speaks well');
        const { kind: word, request } = answer.value;
        if (word !== 'prepared' && word !== 'committed') continue;
        if (output.at === 'old' && state.handover?.stopped) violate('N22: signed after the seal');
        const asked = byRequest.get(toHex(request));
        if (asked === undefined || word !== 'committed') continue;
        const where = `${asked.slot}|${toHex(asked.key)}`;
        const byTxid = signers.get(where) ?? new Map<string, Set<string>>();
        signers.set(where, byTxid);
        byTxid.set(asked.txid, (byTxid.get(asked.txid) ?? new Set()).add(id));
        finalOnce(signers, asked.slot, liarCount, violate);
      } else if (output.kind === 'registered' && honest) {
        // A restart says old lines again; only a new one after the stop is a fault.
        const line = `${id}|${toHex(output.entry)}`;
        const stopped = state.kind === 'elder' && state.handover?.stopped;
        if (output.at === 'old' && stopped && !listed.has(line)) {
          violate('N22: listed after the seal');
        }
        listed.add(line);
        registered(output.entry, amounts, forged, violate);
      } else if (output.kind === 'payment') {
        const said = output.output;
        if (said.kind === 'waiting') words.set(id, `waiting ${said.reason.kind}`);
        else if (said.kind !== 'prepared' && said.kind !== 'outdated') words.set(id, said.kind);
      } else if (output.kind === 'handover' && honest) {
        const said = output.output;
        if (said.kind === 'propose') {
          const { snapshots, sealedRoot: root } = said;
          merges.set(toHex(concat(...snapshots.map(({ root: each }) => each), root)), {
            snapshots,
            root,
          });
          if (state.kind === 'elder') {
            const { handover: own } = state;
            const all = snapshots.every(({ elder }) => own?.held.has(elder) === true);
            if (!all) violate('N23: proposed what it does not hold');
          }
        }
        if (said.kind === 'succeeded' && published === undefined) published = said.signed;
      }
    }
  };

  const react = (
    { node, outputs }: Observation<SealState, Seal>,
    api: WorldApi<SealConfig, SealState, Seal>,
  ): void => {
    // These payers die the moment they know it is final: nobody tells the list.
    const final = outputs.some(
      (output) => output.kind === 'payment' && output.output.kind === 'final',
    );
    if (final && /^early-[12]$/.test(node.id)) api.stop(node.id);
    if (decided === undefined && merges.size > 0) {
      decided = agree(closing, merges, api, liars);
      if (decided !== undefined) {
        for (const { name } of old.charter.elders) {
          for (let at = 0; at < healAtMs + 4_000; at += 2_000) {
            const state: SectionState = decided;
            api.input(toHex(name), { kind: 'sealed', state }, at + prng.below(900));
          }
          // C5: somebody lost patience, and offers the keys of another session.
          const state = otherKeys(decided, rivals);
          api.input(toHex(name), { kind: 'sealed', state }, prng.below(3_000));
        }
      }
    }
    if (decided === undefined) {
      for (const output of outputs) {
        if (output.kind !== 'handover' || output.output.kind !== 'propose') continue;
        const { snapshots } = output.output;
        for (const { name } of old.charter.elders) {
          for (const at of [0, 3_000, healAtMs]) {
            api.input(toHex(name), { kind: 'cited', snapshots }, at + prng.below(300));
          }
        }
      }
    }
    // C5: another five snapshots would have merged to another root.
    const chose = node.up && node.state.kind === 'elder' && node.state.handover?.chosen;
    if (decided !== undefined && chose && !tempted.has(node.id)) {
      tempted.add(node.id);
      const state = otherRoot(decided);
      for (const at of [0, 2_000]) api.input(node.id, { kind: 'sealed', state }, at);
    }
    if (published === undefined) return;
    const { record } = published;
    const past = supersededBy(record);
    if (past === undefined) throw new Error('a record has children');
    const current = heirs.map(({ charter }) => charter);
    const view: PaymentSections = { ...clientView, current, superseded: [before, past] };
    heirKnown.view = view;
    newest.view = view;
    const asks = outputs.some(
      (output) => output.kind === 'payment' && output.output.kind === 'outdated',
    );
    if (asks) api.input(node.id, { kind: 'sections', sections: view }, 20 + prng.below(200));
  };

  const report = run(
    {
      machine: createSeal(parts, curves.threshold),
      configs,
      inputs: [
        ...involved.flatMap(({ id }) =>
          [0, 2_500, 5_000, healAtMs + 500].map((later) => ({
            atMs: closeAtMs + later + prng.below(600),
            to: id,
            input: { kind: 'close' } as const,
          })),
        ),
        ...actors.flatMap(({ id, startAtMs }) =>
          [0, 4_000, healAtMs + 2_000].map((later) => ({
            atMs: startAtMs + later + prng.below(400),
            to: id,
            input: { kind: 'go' } as const,
          })),
        ),
        ...[3_000, 12_000, 20_000].map((atMs) => ({
          atMs,
          to: 'mallory',
          input: { kind: 'go' } as const,
        })),
      ],
      compute: computeOf(parts, curves),
      faults: {
        latencyMs: [5, 120],
        dropProbability: calm ? 0 : 0.12,
        duplicateProbability: 0.05,
        crashProbability: calm ? 0 : 0.0015,
        restartAfterMs: [50, 900],
        cutProbability: calm ? 0 : 0.002,
        computeMs: [0, 40],
      },
      healAtMs,
      endAtMs,
      corrupt: new Map(
        [...liars].flatMap((id) =>
          people
            .filter((each) => each.id === id)
            .map((each) => [id, liar(identity, each, old, closing, prng)] as const),
        ),
      ),
      react,
    },
    seed,
    check,
  );

  for (const { id, expect } of actors) {
    if (expect === 'registered' && words.get(id) !== 'registered') {
      violate(`progress: ${id} ended ${words.get(id) ?? 'silent'}`);
    }
  }
  for (const i of [0, 1, 2]) {
    const won = [`early-${i}`, `late-${i}`].filter((id) =>
      /final|registered/.test(words.get(id) ?? ''),
    );
    if (won.length > 1) violate('noDoubleSpend: both rivals are final');
    const over = (id: string): boolean =>
      /final|registered|replaced|waiting/.test(words.get(id) ?? '');
    if (!over(`early-${i}`) || !over(`late-${i}`)) violate('progress: a rival ended silent');
  }
  if (published === undefined) violate('progress: no successor');
  let undelivered = 0;
  for (const { id, state, honest } of report.nodes) {
    if (state.kind !== 'elder' || !honest) continue;
    if (state.handover?.released !== true) undelivered += 1;
    const heir = heirs.some(({ shares }) => shares.has(id));
    if (heir && !state.active) violate('N27: an honest heir never began');
  }
  if (undelivered > 0) violate(`progress: ${undelivered} elders never finished`);
  return { events: report.events, violations, undelivered, words, kind };
}

/** Two transactions of one slot, each with shares enough that liars could finish its certificate. */
function finalOnce(
  signers: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>,
  slot: string,
  liars: number,
  violate: (what: string) => void,
): void {
  const able = new Set<string>();
  for (const [where, byTxid] of signers) {
    if (!where.startsWith(slot)) continue;
    // Liars are old elders; of those that stay, the new key is told lies, too.
    for (const [txid, who] of byTxid) if (who.size + liars >= 5) able.add(txid);
  }
  if (able.size > 1) violate('noDoubleSpend: two transactions of one slot can be final');
}

function registered(
  bytes: Uint8Array,
  amounts: ReadonlyMap<string, bigint>,
  forged: Transaction,
  violate: (what: string) => void,
): void {
  if (good.has(toHex(bytes))) return; // A pure check, paid for once.
  const entry = decodeEntry(bytes);
  if (!entry.ok) throw new Error('a listed line decodes');
  const valid = verifyTransaction(entry.value.transaction, networkId, 'certified');
  if (!valid.ok) return violate(`supplyConserved: registered though ${valid.error}`);
  if (equalBytes(txidOf(valid.value), txidOf(forged))) {
    return violate('N34: a forged spend is listed');
  }
  const known = valid.value.inputs.every(
    ({ oneTimeKey, amount }) => amounts.get(toHex(oneTimeKey)) === amount,
  );
  if (!known) return violate('supplyConserved: an input from nowhere');
  good.add(toHex(bytes));
}

/** The old key leaked, long after: a certificate that the sealed root has never heard of (N34). */
function forgery(
  curves: SealCurves,
  old: DealtKey,
  heirs: readonly DealtKey[],
  forged: Transaction,
): SealConfig {
  const transaction = encodeTransaction(forged);
  const certificates = certify(curves, old, 'COMMIT', forged);
  const messages: SealMessage[] = [];
  for (const [index, { oneTimeKey: key }] of forged.outputs.entries()) {
    for (const { charter } of heirs) {
      if (!matches(charter.prefix, outputName(key))) continue;
      const message = encodeMintRequest({
        kind: 'register',
        request: seedOf('forgery').slice(0, 16),
        section: sectionKeyHash(charter.key),
        key,
        transaction,
        certificates,
        index,
      });
      messages.push({ kind: 'output', key, message });
    }
  }
  const to = heirs.flatMap(({ charter }) => charter.elders.map(({ name }) => toHex(name)));
  return { kind: 'mallory', to, messages };
}

interface Asked {
  readonly slot: string;
  readonly txid: string;
  readonly key: Uint8Array;
}

/** Which slot, transaction and section key a commit request id is about (payment/sections.ts). */
function requestTable(
  actors: readonly Actor[],
  keys: readonly DealtKey[],
): ReadonlyMap<string, Asked> {
  const table = new Map<string, Asked>();
  for (const { transaction } of actors) {
    const txid = txidOf(transaction);
    for (const [index, { keyImage }] of transaction.inputs.entries()) {
      for (const { charter } of keys) {
        const { key } = charter;
        const at = Uint8Array.of(index);
        const phase = utf8('committing');
        const id = labelledHash('safe/v1/payment/request', txid, phase, at, sectionKeyHash(key));
        const slot = toHex(slotName(keyImage));
        table.set(toHex(id.slice(0, 16)), { slot, txid: toHex(txid), key });
      }
    }
  }
  return table;
}

/** The stub of the agreement: the lowest set for which five could have voted (N23). */
function agree(
  closing: SectionState,
  merges: ReadonlyMap<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly root: Uint8Array }
  >,
  api: WorldApi<SealConfig, SealState, Seal>,
  liars: ReadonlySet<string>,
): SectionState | undefined {
  const { phase } = closing.ledger;
  if (phase.kind !== 'closing') throw new Error('closing');
  const oldNames = new Set(closing.authority.elders.map(({ name }) => toHex(name)));
  const nodes = api.nodes().filter(({ id }) => oldNames.has(id));
  for (const [, { snapshots, root }] of [...merges].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const voters = nodes.filter(({ id, up, state }) => {
      if (liars.has(id)) return true;
      if (!up || state.kind !== 'elder' || state.handover === null) return false;
      return snapshots.every(({ root: each }) => state.lists.has(toHex(each)));
    });
    if (voters.length < 5) continue;
    return sealedAfter(closing, phase, snapshots, root);
  }
  return undefined;
}

const sealedAfter = (
  { authority, ledger }: SectionState,
  { sessionId, charters }: Extract<SectionState['ledger']['phase'], { kind: 'closing' }>,
  snapshots: readonly { readonly elder: number; readonly root: Uint8Array }[],
  sealedRoot: Uint8Array,
): SectionState => ({
  authority: { ...authority, generation: authority.generation + 1n },
  ledger: {
    ...ledger,
    phase: {
      kind: 'sealed',
      sessionId,
      charters,
      snapshots: snapshots.map(({ elder, root }) => ({ elder, root })),
      sealedRoot,
    },
  },
});

/** Sealed states that must not be signed: other keys, and the same keys over another root. */
function otherKeys(sealed: SectionState, rivals: readonly DealtKey[]): SectionState {
  const { phase } = sealed.ledger;
  if (phase.kind !== 'sealed') throw new Error('sealed');
  const charters = rivals.map(({ charter }) => charter);
  const other = { ...phase, sessionId: seedOf('other session'), charters };
  return { ...sealed, ledger: { ...sealed.ledger, phase: other } };
}

function otherRoot(sealed: SectionState): SectionState {
  const { phase } = sealed.ledger;
  if (phase.kind !== 'sealed') throw new Error('sealed');
  const other = { ...phase, sealedRoot: seedOf('other root') };
  return { ...sealed, ledger: { ...sealed.ledger, phase: other } };
}

/** Lies in handover news: another root to some, a wrong share, a share over another record. */
function liar(
  identity: IdentitySuite,
  me: Person,
  old: DealtKey,
  closing: SectionState,
  chance: Prng,
): Corrupt<Seal> {
  const elder = old.charter.elders.find(({ name }) => toHex(name) === me.id);
  const favourite = chance.below(4);
  return (message, to, prng) => {
    if (message.kind !== 'handover' || elder === undefined) return [message];
    const decoded = decodeHandoverMessage(message.message);
    if (!decoded.ok) return [message];
    if (decoded.value.kind === 'page') return prng.chance(0.5) ? [] : [message];
    if (decoded.value.kind !== 'news') return [message];
    const news = decoded.value;
    const say = (changed: Partial<HandoverNews>): SealMessage => ({
      kind: 'handover',
      message: encodeHandoverMessage({ ...news, ...changed }),
    });
    if (favourite === 0) return prng.chance(0.6) ? [] : [message];
    if (favourite === 1 && news.roots.length > 0 && to.charCodeAt(0) % 2 === 0) {
      const root = seedOf('two roots');
      const bytes = snapshotBytes(closing, elder.index, root);
      const signature = identity.sign(me.seed, bytes);
      return [say({ roots: [{ elder: elder.index, root, signature }] })];
    }
    if (news.share !== null && favourite === 2) {
      return [say({ share: { ...news.share, signature: new Uint8Array(48).fill(9) } })];
    }
    if (news.share !== null && favourite === 3) {
      return [say({ share: { ...news.share, record: seedOf('other record') } })];
    }
    return [message];
  };
}

export const seal: SimScenario = {
  name: 'seal',
  run: (seed) => {
    try {
      const { events, violations, undelivered } = runSeal(seed);
      return { events, violations, undelivered };
    } catch (cause) {
      return { events: 0, violations: [String(cause)], undelivered: 0 };
    }
  },
};
