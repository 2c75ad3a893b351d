/**
 * Goal: a payment with a forged signature or certificate counts against its sender; a valid one, and
 * one that this elder cannot check, does not.
 */
import { expect, test } from 'vitest';
import { utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { signEd25519 } from '#crypto/ed25519.ts';
import { sectionKeyHash } from '#money/spend-certificate.ts';
import { addressOf } from '#money/wallet-address.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import { contextOf, decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import {
  createElderMoney,
  type ElderMoney,
  type ElderMoneyRequest,
} from '#node/money/elder-money.ts';
import { encodeMintRequest } from '#protocol/mint/index.ts';
import {
  decodeSpentbookAnswer,
  encodeSpentbookRequest,
  recoverBytes,
  type SpentbookAnswer,
  type SpentbookRequest,
} from '#protocol/spentbook/index.ts';
import type { FactStore } from '#storage/node/facts.ts';
import {
  addCoin,
  emptyWallet,
  genesisCoin,
  planPayment,
  recoverySeed,
  scanCommitted,
  spendable,
  type WalletState,
} from '#safe/wallet/index.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { makeSection } from '../section/fixtures.ts';
import { toyJobs } from './handover-money-world.ts';
import { silentLog } from '../../support/silent-log.ts';
import { createMemoryFacts } from '../../support/memory-facts.ts';

const seed = sha256(utf8('payer'));
const keys = walletKeys(seed);
const made = makeSection(toySuite, toyScalars);
const authority = {
  ...made.authority,
  genesisOutput: { oneTimeKey: genesisKeyPair(seed).oneTimeKey, amount: 1_000n },
};

function firstWallet(): WalletState {
  const first = genesisCoin(keys, authority);
  if (first === null) throw new Error('the first coin is ours');
  return addCoin(emptyWallet, first.coin, first.source, 0);
}

function payment(wallet: WalletState = firstWallet()) {
  const planned = planPayment({
    keys,
    networkId: authority.networkId,
    coins: spendable(wallet),
    address: addressOf(walletKeys(sha256(utf8('payee')))),
    amount: 10n,
    memo: new Uint8Array(),
    entropy: sha256(utf8('entropy')),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  return planned.value.bundle;
}

const openElder = (at = 0, facts: FactStore = createMemoryFacts()): Promise<ElderMoney> => {
  const elder = authority.elders[at];
  return createElderMoney({
    label: 'elder',
    name: elder?.name ?? new Uint8Array(),
    identitySeed: made.identitySeeds[at] ?? seed,
    secretShare: made.secretShares[at] ?? seed,
    authority,
    facts,
    jobs: toyJobs as never,
    log: silentLog,
  });
};

/** The slot of its only input, and the key of its first output. */
function placesOf(transaction: Uint8Array): {
  readonly slot: Uint8Array;
  readonly key: Uint8Array;
} {
  const body = decodeTransaction(transaction);
  const keyImage = body.ok ? body.value.inputs[0]?.keyImage : undefined;
  const key = body.ok ? body.value.outputs[0]?.oneTimeKey : undefined;
  if (keyImage === undefined || key === undefined) throw new Error('one input, and outputs');
  return { slot: slotName(keyImage), key };
}

test('a forged payment is an invalid request of its sender, and a valid one is signed', async () => {
  const { transaction, sources } = payment();
  const { slot } = placesOf(transaction);
  const money = await openElder();
  let invalid = 0;
  const prepare = async (bytes: Uint8Array): Promise<object> => {
    const message = encodeSpentbookRequest({
      kind: 'prepare',
      request: new Uint8Array(16),
      section: sectionKeyHash(authority.key),
      slot,
      transaction: bytes,
      sources,
      ballot: 0,
      recovery: null,
    });
    const reply = await money.answer({ kind: 'slot', slot, message }, () => (invalid += 1));
    const answer = reply.kind === 'money' ? decodeSpentbookAnswer(reply.message) : undefined;
    if (answer?.ok !== true) throw new Error(`no answer: ${reply.kind}`);
    return answer.value;
  };
  // The signatures come last: flips the low byte of a scalar.
  const forged = transaction.slice();
  forged[forged.length - 32] = (forged[forged.length - 32] ?? 0) ^ 1;
  expect(await prepare(forged)).toMatchObject({ kind: 'malformed', what: 'badSignature' });
  expect(invalid).toBe(1);
  expect(await prepare(transaction)).toMatchObject({ kind: 'prepared' });
  expect(invalid).toBe(1);
  money.stop();
});

test('forged certificates count against their sender, those of an unknown epoch do not', async () => {
  const { transaction } = payment();
  const { slot, key } = placesOf(transaction);
  const section = sectionKeyHash(authority.key);
  const request = new Uint8Array(16);
  const money = await openElder();
  const certificates = (epoch: bigint) => [
    { epoch, ballot: 0, signature: new Uint8Array(48).fill(7), inclusion: null },
  ];
  const commit = (epoch: bigint): ElderMoneyRequest => {
    const prepared = certificates(epoch);
    const body = { kind: 'commit', request, section, slot, transaction, prepared } as const;
    return { kind: 'slot', slot, message: encodeSpentbookRequest(body) };
  };
  const prepare = (epoch: bigint): ElderMoneyRequest => {
    // It spends the change of the first payment: only its source's certificate is wrong.
    const committed = { transaction, certificates: certificates(epoch) };
    const next = payment(scanCommitted(keys, emptyWallet, committed, 0));
    const at = placesOf(next.transaction).slot;
    const paid = { transaction: next.transaction, sources: next.sources };
    const first = { ballot: 0, recovery: null } as const;
    const body = { kind: 'prepare', request, section, slot: at, ...paid, ...first } as const;
    return { kind: 'slot', slot: at, message: encodeSpentbookRequest(body) };
  };
  const register = (epoch: bigint): ElderMoneyRequest => {
    const entry = { transaction, certificates: certificates(epoch), index: 0 };
    const message = encodeMintRequest({ kind: 'register', request, section, key, ...entry });
    return { kind: 'output', key, message };
  };
  for (const make of [commit, prepare, register]) {
    let invalid = 0;
    const ask = (epoch: bigint): Promise<unknown> =>
      money.answer(make(epoch), () => (invalid += 1));
    await ask(authority.epoch + 1n);
    expect(invalid, `${make.name} of an epoch that is unknown here`).toBe(0);
    for (let n = 0; n < 3; n++) await ask(authority.epoch);
    expect(invalid, `${make.name} with certificates that nobody made`).toBe(3);
  }
  money.stop();
});

test('SPENTBOOK-R3: elders promise, report and prepare at a new ballot; each keeps one row on its disk', async () => {
  const { transaction, sources } = payment();
  const body = decodeTransaction(transaction);
  if (!body.ok) throw new Error('our own transaction');
  const { slot } = placesOf(transaction);
  const section = sectionKeyHash(authority.key);
  const common = { request: new Uint8Array(16), section, slot, transaction, sources };
  const disks = authority.elders.map(() => createMemoryFacts());
  const elders = await Promise.all(disks.map((disk, at) => openElder(at, disk)));
  const ask = async (money: ElderMoney, message: SpentbookRequest): Promise<SpentbookAnswer> => {
    const bytes = encodeSpentbookRequest(message);
    const reply = await money.answer({ kind: 'slot', slot, message: bytes }, undefined, 'peer');
    const answer = reply.kind === 'money' ? decodeSpentbookAnswer(reply.message) : undefined;
    if (answer?.ok !== true) throw new Error(`no answer: ${reply.kind}`);
    return answer.value;
  };
  const statement = {
    keyImage: body.value.inputs[0]?.keyImage ?? new Uint8Array(),
    ballot: 1,
    txid: txidOf(body.value),
  };
  const owner = recoverySeed(keys, contextOf(body.value));
  const signature = signEd25519(owner, recoverBytes(authority, statement));
  const recover = { kind: 'recover', ...common, ballot: 1, signature } as const;
  const answers = await Promise.all(
    elders.map(async (money) => {
      await ask(money, { kind: 'prepare', ...common, ballot: 0, recovery: null });
      return ask(money, recover);
    }),
  );
  const reports = answers.flatMap((each) => (each.kind === 'report' ? [each.report] : []));
  expect(reports).toHaveLength(7);
  const recovery = { reports: reports.slice(2), top: null };
  for (const [at, money] of elders.entries()) {
    expect(await ask(money, { kind: 'prepare', ...common, ballot: 1, recovery })).toMatchObject({
      kind: 'prepared',
      ballot: 1,
    });
    const facts = disks[at];
    const [key] = (await facts?.keys('spentbook')) ?? [];
    expect(await facts?.load('spentbook', key ?? '')).toHaveLength(1);
    money.stop();
  }
});

test('a peer has one request per slot at a time', async () => {
  const { transaction, sources } = payment();
  const { slot } = placesOf(transaction);
  const money = await openElder();
  const section = sectionKeyHash(authority.key);
  const ask = (id: number, peer: string) => {
    const request = new Uint8Array(16).fill(id);
    const first = { ballot: 0, recovery: null } as const;
    const body = {
      kind: 'prepare',
      request,
      section,
      slot,
      transaction,
      sources,
      ...first,
    } as const;
    const message = encodeSpentbookRequest(body);
    return money.answer({ kind: 'slot', slot, message }, undefined, peer);
  };
  const replies = await Promise.all([ask(1, 'flood'), ask(2, 'flood'), ask(3, 'owner')]);
  expect(replies.map(({ kind }) => kind)).toEqual(['money', 'refused', 'money']);
  expect((await ask(4, 'flood')).kind).toBe('money');
  money.stop();
});
