/**
 * The common start of all seal runs: keys from a dealer, signed transactions, and the payment
 * schedule. Created once, because transactions are expensive.
 */
import { EMPTY_PREFIX, child, type Prefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  spendStatementBytes,
  type MoneySection,
  type InputSource,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { mergeSnapshots, sortSnapshotEntries, type SnapshotEntry } from '#money/snapshot.ts';
import { oneTimeSecret } from '#money/one-time-outputs.ts';
import { encodeTransaction, slotName, txidOf, type Transaction } from '#money/transaction.ts';
import type { Charter } from '#protocol/section/index.ts';
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
import type { SealedArchive } from './paged-list.ts';
import { toyScalars, toySuite } from '../toys/toy-suite.ts';

/** The elders' schemes for individual and threshold signatures. */
export interface HandoverMoneyCurves {
  readonly scalars: ScalarField;
  readonly threshold: ThresholdSuite;
  readonly identity: IdentitySuite;
  readonly nameOf: (seed: Uint8Array) => Uint8Array;
}

export const toyHandoverMoneyCurves: HandoverMoneyCurves = {
  scalars: toyScalars,
  threshold: toySuite,
  identity: toyIdentity,
  nameOf: toyName,
};

export interface SimIdentity {
  readonly seed: Uint8Array;
  readonly name: ReturnType<typeof toXorName>;
  readonly id: string;
}

export interface DealtKey {
  readonly charter: Charter;
  readonly section: MoneySection;
  readonly secret: Uint8Array;
  readonly shares: ReadonlyMap<string, Uint8Array>;
}

const simIdentitiesOf = ({ nameOf }: HandoverMoneyCurves): readonly SimIdentity[] =>
  Array.from({ length: 21 }, (_, i) => {
    const seed = seedOf(`seal ${i}`);
    const name = toXorName(nameOf(seed));
    return { seed, name, id: toHex(name) };
  });

/** A key from a single dealer: a shortcut for tests. */
function deal(
  { scalars, threshold }: HandoverMoneyCurves,
  label: string,
  people: readonly SimIdentity[],
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

/** The section's complete signatures for every input. */
export const certifyWithKey = (
  { threshold }: HandoverMoneyCurves,
  { section, secret }: DealtKey,
  phase: 'PREPARE' | 'COMMIT',
  body: Transaction,
) =>
  body.inputs.map(({ keyImage }) => {
    const statement = { keyImage, ballot: 0, txid: txidOf(body) };
    const signature = threshold.sign(secret, phase, spendStatementBytes(section, statement));
    return { epoch: section.epoch, ballot: 0, signature, inclusion: null };
  });

type Expect = 'registered' | 'rival';

export interface HandoverMoneyActor {
  readonly id: string;
  readonly transaction: Transaction;
  readonly sources: readonly InputSource[];
  readonly expect: Expect;
  readonly startAtMs: number;
}

export interface HandoverMoneySetup {
  readonly elderIdentities: readonly SimIdentity[];
  readonly zero: DealtKey;
  readonly old: DealtKey;
  readonly successors: Readonly<Record<Succession, readonly DealtKey[]>>;
  /** Keys of an undecided session: handing over to them would break N21. */
  readonly rivals: readonly DealtKey[];
  readonly archives: readonly SealedArchive[];
  readonly actors: readonly HandoverMoneyActor[];
  readonly amounts: ReadonlyMap<string, bigint>;
  readonly forged: Transaction;
}

export type Succession = 'partly' | 'wholly' | 'split';

const setups = new Map<HandoverMoneyCurves, HandoverMoneySetup>();

/** Created once: transactions are expensive. */
export function handoverMoneySetup(curves: HandoverMoneyCurves): HandoverMoneySetup {
  const made = setups.get(curves) ?? makeHandoverMoneySetup(curves);
  setups.set(curves, made);
  return made;
}

function makeHandoverMoneySetup(curves: HandoverMoneyCurves): HandoverMoneySetup {
  const elderIdentities = simIdentitiesOf(curves);
  const zero = deal(curves, 'zero', elderIdentities.slice(0, 7), EMPTY_PREFIX, 0n);
  const old = deal(curves, 'old', elderIdentities.slice(0, 7), EMPTY_PREFIX, 1n);
  const successors = {
    partly: [deal(curves, 'partly', elderIdentities.slice(4, 11), EMPTY_PREFIX, 2n)],
    wholly: [deal(curves, 'wholly', elderIdentities.slice(7, 14), EMPTY_PREFIX, 2n)],
    split: [
      deal(curves, 'left', elderIdentities.slice(3, 10), child(EMPTY_PREFIX, 0), 2n),
      deal(
        curves,
        'right',
        [...elderIdentities.slice(0, 3), ...elderIdentities.slice(10, 14)],
        child(EMPTY_PREFIX, 1),
        2n,
      ),
    ],
  };
  const rivals = [deal(curves, 'rival', elderIdentities.slice(14, 21), EMPTY_PREFIX, 2n)];

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
  // The genesis output was spent in epoch 0, so every source here needs its inclusion proof (N34).
  const certificates = certifyWithKey(curves, zero, 'COMMIT', split);
  const bytes = encodeTransaction(split);
  const [first] = split.inputs;
  const [certificate] = certificates;
  if (first === undefined || certificate === undefined) throw new Error('one input');
  const txid = txidOf(split);
  const entries: readonly SnapshotEntry[] = sortSnapshotEntries([
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
  const actors: HandoverMoneyActor[] = [];
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
  // Payments spread around the freeze, one of two coins (in a split, perhaps of two sections).
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
  return { elderIdentities, zero, old, successors, rivals, archives, actors, amounts, forged };
}

interface Owned {
  readonly secret: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  readonly source: InputSource;
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
  certificates: ReturnType<typeof certifyWithKey>,
): readonly Owned[] =>
  transaction.outputs.flatMap((output, index) => {
    const opened = findOutput(keysOf(owner), transaction, index);
    if (opened === undefined) return [];
    const { oneTimeKey, amount } = output;
    const bytes = encodeTransaction(transaction);
    const source = { kind: 'committed', transaction: bytes, certificates, index } as const;
    return [{ secret: oneTimeSecret(keysOf(owner), opened.tweak), oneTimeKey, amount, source }];
  });

export const elderName = (key: DealtKey, index: number): string =>
  toHex(key.charter.elders[index - 1]?.name ?? new Uint8Array());
