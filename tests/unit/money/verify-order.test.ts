/**
 * Goal: an elder computes pairings only after all cheap checks pass, and once per certificate.
 * Method: the real jobs with a suite that counts; an attacker that cites a real payment of eight
 * coins.
 */
import { describe, expect, test } from 'vitest';
import { compareBytes } from '#core/codec/bytes.ts';
import { maxCachedSignatures, cachingSuite } from '#crypto/caching-suite.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import type { SpendCertificate, SectionKeys, InputSource } from '#money/spend-certificate.ts';
import { genesisKeyPair } from '#money/wallet-keys.ts';
import { oneTimeSecret, openOutput } from '#money/one-time-outputs.ts';
import { contextOf, encodeTransaction, slotName, type Transaction } from '#money/transaction.ts';
import { performMintJob } from '#protocol/mint/index.ts';
import { performSpentbookJob, type SpentbookJob } from '#protocol/spentbook/index.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import {
  addressFor,
  certify,
  keysOf,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from './fixtures.ts';

const { section, known, secret, elders } = makeSection(toySuite, toyScalars, toyName);
const toySection = { section, known, secret, elders };
const secretShare = elders[0]?.secretShare ?? new Uint8Array();

interface Coin {
  readonly secret: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
}
const coin = (name: string): Coin => {
  const pair = genesisKeyPair(seedOf(name));
  return {
    secret: pair.secret.reveal(),
    oneTimeKey: pair.oneTimeKey,
    amount: 100n,
  };
};
const eight = (name: string): readonly Coin[] =>
  Array.from({ length: 8 }, (_, n) => coin(`${name} ${n}`));

function pay(inputs: readonly Coin[]): Transaction {
  const amount = inputs.reduce((sum, each) => sum + each.amount, 0n);
  const outputs = [{ address: addressFor('alice'), amount, memo: new Uint8Array() }];
  const entropy = seedOf('entropy');
  const recoveryKey = (): Uint8Array => seedOf('recovery');
  const built = buildTransaction({
    networkId,
    inputs,
    outputs,
    fee: 0n,
    recoveryKey,
    entropy,
  });
  if (built === undefined) throw new Error('the fixture pays to a real address');
  return built;
}

/** A final payment of eight coins, as the public list of outputs contains it. */
const listed = pay(eight('honest'));
const source: InputSource & { readonly kind: 'committed' } = {
  kind: 'committed',
  transaction: encodeTransaction(listed),
  certificates: certify(toySection, toySuite, 'COMMIT', listed),
  index: 0,
};

function counting(): ThresholdSuite & { readonly verified: () => number } {
  let verified = 0;
  return {
    ...toySuite,
    verify: (...given) => {
      verified += 1;
      return toySuite.verify(...given);
    },
    verified: () => verified,
  };
}

const slotsOf = ({ inputs }: Transaction): readonly Uint8Array[] =>
  inputs.map(({ keyImage }) => slotName(keyImage));

const prepare = (transaction: Transaction, sources: readonly InputSource[]): SpentbookJob => ({
  kind: 'prepare',
  section,
  secretShare,
  known,
  bound: null,
  top: null,
  ballot: 0,
  slot: slotsOf(transaction)[0] ?? new Uint8Array(32),
  transaction: encodeTransaction(transaction),
  sources,
});
const commit = (
  transaction: Transaction,
  slot: Uint8Array,
  prepared = certify(toySection, toySuite, 'PREPARE', transaction),
): SpentbookJob => ({
  kind: 'commit',
  section,
  secretShare,
  known,
  slot,
  transaction: encodeTransaction(transaction),
  prepared,
  isBound: false,
});

const unsigned = (transaction: Transaction): Transaction => ({
  ...transaction,
  signatures: transaction.signatures.map((each) => ({
    ...each,
    c0: new Uint8Array(each.c0.length),
  })),
});
const citingEight = Array.from({ length: 8 }, () => source);

test.each([
  ['invented coins without signatures', unsigned(pay(eight('mallory'))), 'badSignature'],
  ['invented coins that their inventor signed', pay(eight('mallory')), 'unknownInput'],
])('a PREPARE of %s costs no pairing', (_what, transaction, what) => {
  const suite = counting();
  const result = performSpentbookJob(prepare(transaction, citingEight), suite);
  expect(result).toEqual({ kind: 'refused', what });
  expect(suite.verified()).toBe(0);
});

test('a PREPARE that spends one key eight times costs no pairing and no signature check', () => {
  const suite = counting();
  const invented = pay(eight('mallory'));
  const same = listed.outputs[0]?.oneTimeKey ?? new Uint8Array(32);
  const inputs = invented.inputs
    .map((each) => ({ ...each, oneTimeKey: same }))
    .sort((a, b) => compareBytes(a.keyImage, b.keyImage));
  const result = performSpentbookJob(prepare({ ...invented, inputs }, citingEight), suite);
  expect(result).toEqual({ kind: 'refused', what: 'repeatedInput' });
  expect(suite.verified()).toBe(0);
});

test('a PREPARE with too few sources, or for a slot it does not spend, costs no pairing', () => {
  const suite = counting();
  const transaction = pay(eight('mallory'));
  expect(performSpentbookJob(prepare(transaction, [source]), suite)).toEqual({
    kind: 'refused',
    what: 'sourceCount',
  });
  const elsewhere = {
    ...prepare(transaction, citingEight),
    slot: seedOf('elsewhere'),
  };
  expect(performSpentbookJob(elsewhere, suite)).toEqual({
    kind: 'refused',
    what: 'otherSlot',
  });
  expect(suite.verified()).toBe(0);
});

test('a COMMIT whose body was not signed costs no pairing', () => {
  const suite = counting();
  const forged = unsigned(listed);
  const [slot = new Uint8Array(32)] = slotsOf(forged);
  expect(performSpentbookJob(commit(forged, slot), suite)).toEqual({
    kind: 'refused',
    what: 'badSignature',
  });
  expect(suite.verified()).toBe(0);
});

/** Alice spends the output of the listed payment: her signature is public once it is paid. */
function paidByAlice(): Transaction {
  const [output] = listed.outputs;
  const opened = output && openOutput(keysOf('alice'), output, contextOf(listed));
  if (output === undefined || opened === undefined) throw new Error('alice was paid');
  const hers = {
    secret: oneTimeSecret(keysOf('alice'), opened.tweak),
    oneTimeKey: output.oneTimeKey,
    amount: output.amount,
  };
  return pay([hers]);
}

type Problem = (certificates: readonly SpendCertificate[]) => {
  readonly certificates: readonly SpendCertificate[];
  readonly keys: SectionKeys;
};
const forged: Problem = (all) => ({
  certificates: all.map((each) => ({ ...each, signature: new Uint8Array(48).fill(7) })),
  keys: known,
});
const ahead: Problem = (all) => ({
  certificates: all.map((each) => ({ ...each, epoch: 9n })),
  keys: known,
});
const outdated: Problem = (all) => ({
  certificates: all,
  keys: { ...known, current: [], superseded: [{ ...section, sealedRoot: seedOf('root') }] },
});
const wrongPath: Problem = (all) => ({
  ...outdated(all),
  certificates: all.map((each) => ({
    ...each,
    inclusion: { kind: 'decided', body: seedOf('body'), index: 0, count: 1, siblings: [] },
  })),
});

/** Any client can read a payment and send it again with other certificates: its signatures verify. */
const replays = {
  PREPARE: (problem, suite) => {
    const transaction = paidByAlice();
    const { certificates, keys } = problem(source.certificates);
    const job = prepare(transaction, [{ ...source, certificates }]);
    return performSpentbookJob({ ...job, known: keys }, suite);
  },
  COMMIT: (problem, suite) => {
    const [slot = new Uint8Array(32)] = slotsOf(listed);
    const made = certify(toySection, toySuite, 'PREPARE', listed);
    const { certificates, keys } = problem(made);
    return performSpentbookJob({ ...commit(listed, slot, certificates), known: keys }, suite);
  },
  REGISTER: (problem, suite) => {
    const { certificates, keys } = problem(source.certificates);
    const { transaction, index } = source;
    const key = listed.outputs[0]?.oneTimeKey ?? new Uint8Array(32);
    const entry = { transaction, certificates, index };
    return performMintJob({ kind: 'verify', known: keys, key, entry }, suite);
  },
} satisfies Record<string, (problem: Problem, suite: ThresholdSuite) => unknown>;

describe.each(Object.entries(replays))('another client’s payment in a %s', (_phase, replay) => {
  test('with forged certificates costs one pairing and is reported as forged', () => {
    const suite = counting();
    expect(replay(forged, suite)).toEqual({ kind: 'refused', what: 'forgedCertificate' });
    expect(suite.verified()).toBe(1);
  });

  test.each([
    ['a key that this elder does not know', ahead],
    ['an epoch that is over, without its path', outdated],
  ])('with certificates of %s costs no pairing and is no fault', (_what, problem) => {
    const suite = counting();
    expect(replay(problem, suite)).toMatchObject({ kind: 'unproven' });
    expect(suite.verified()).toBe(0);
  });

  test('with a proof for another root costs no pairing and is not reported as forged', () => {
    const suite = counting();
    const result = replay(wrongPath, suite);
    expect(result).toMatchObject({ kind: 'refused' });
    expect(result).not.toMatchObject({ what: 'forgedCertificate' });
    expect(suite.verified()).toBe(0);
  });
});

test('an honest payment costs one check per certificate, however often it is sent', () => {
  const counted = counting();
  const suite = cachingSuite(counted);
  for (let repeated = 0; repeated < 3; repeated++) {
    const result = performSpentbookJob(prepare(paidByAlice(), [source]), suite);
    expect(result.kind).toBe('shared');
  }
  expect(counted.verified()).toBe(8);

  // Eight slots, eight certificates in each.
  for (const slot of slotsOf(listed)) {
    expect(performSpentbookJob(commit(listed, slot), suite).kind).toBe('shared');
  }
  expect(counted.verified()).toBe(16);
});

test('invalid signatures are not cached, and valid ones up to a limit', () => {
  const counted = counting();
  const suite = cachingSuite(counted);
  const key = toySuite.publicKey(secret);
  const message = (n: number): Uint8Array => new TextEncoder().encode(`message ${n}`);
  const signature = (n: number): Uint8Array => toySuite.sign(secret, 'COMMIT', message(n));
  for (let n = 0; n < 3; n++)
    expect(suite.verify(key, 'COMMIT', message(1), signature(2))).toBe(false);
  expect(counted.verified()).toBe(3);
  // A signature for another purpose is another statement.
  expect(suite.verify(key, 'COMMIT', message(1), signature(1))).toBe(true);
  expect(suite.verify(key, 'PREPARE', message(1), signature(1))).toBe(false);
  for (let n = 2; n < maxCachedSignatures + 2; n++)
    suite.verify(key, 'COMMIT', message(n), signature(n));
  const before = counted.verified();
  expect(
    suite.verify(
      key,
      'COMMIT',
      message(maxCachedSignatures + 1),
      signature(maxCachedSignatures + 1),
    ),
  ).toBe(true);
  expect(counted.verified()).toBe(before);
  expect(suite.verify(key, 'COMMIT', message(1), signature(1))).toBe(true);
  expect(counted.verified()).toBe(before + 1);
});
