/**
 * Goal: a wallet can read everything it writes, and no outsider can fill it. Method: the largest possible
 * values, wallets of version 0.1 as bytes, coins by the thousand.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import {
  encodeRegistryEntry,
  type InputSource,
  type SpendCertificate,
} from '#money/spend-certificate.ts';
import { maxInputs, maxOutputs, decodeTransaction } from '#money/transaction.ts';
import {
  decodeBundle,
  decodePaymentFacts,
  encodeBundle,
  encodePaymentFacts,
  maxBundleBytes,
  withPaymentFact,
  type PaymentFact,
} from '#safe/payment/index.ts';
import { encodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import {
  addCoin,
  addPayment,
  addListPositions,
  addSpend,
  addStage,
  deadPayments,
  decodeWallet,
  dustLimitFromBytes,
  emptyWallet,
  encodeReceipt,
  encodeWallet,
  genesisCoin,
  withSkipped,
  maxIncomingBytes,
  maxReceiptBytes,
  planPayment,
  rereadSkipped,
  scanEntry,
  spendable,
  acceptsCoin,
  startOfList,
  walletBytes,
  type Coin,
  type WalletState,
} from '#safe/wallet/index.ts';
import { MAX_WALLET_BYTES } from '#safe/index/index-set.ts';
import {
  addressFor,
  certify,
  faucet,
  keysOf,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from '../money/fixtures.ts';
import { certificate, coinsOf, oneCoin, recordOf, withCertificates } from './coins.ts';

const largest = { inputs: maxInputs, amounts: Array(maxOutputs).fill(1n) as bigint[], path: 32 };
const sourceOf = (name: string, path: number) => oneCoin(name, { ...largest, path }).source;

const paymentOf = (bundle: Uint8Array | null) => ({
  txid: seedOf('payment'),
  amount: 1n,
  address: 'safe1…',
  memo: utf8(''),
  at: 5,
  bundle,
});

describe('written records are readable', () => {
  test('a payment of eight coins with the longest proofs', () => {
    const { transaction } = sourceOf('paid', 32) as { transaction: Uint8Array };
    const sources = Array.from({ length: maxInputs }, (_, i) => sourceOf(`coin ${i}`, 32));
    const bundle = encodeBundle({ transaction, sources, prepared: null, certificates: null });
    expect(bundle.length).toBeGreaterThan(64 * 1024);
    expect(bundle.length).toBeLessThanOrEqual(maxBundleBytes);
    expect(decodeBundle(bundle).ok).toBe(true);
    const state = addPayment(emptyWallet, paymentOf(bundle), []);
    expect(decodeWallet(encodeWallet(state)).ok).toBe(true);
    const asked = {
      kind: 'prepare',
      request: new Uint8Array(16),
      section: new Uint8Array(32),
      ballot: 0,
      recovery: null,
    } as const;
    const request = encodeSpentbookRequest({
      ...asked,
      slot: seedOf('slot'),
      transaction,
      sources,
    });
    expect(request.length).toBeLessThanOrEqual(128 * 1024);
  });

  test('the receipt of a payment of eight coins that outlived its epoch', () => {
    const source = sourceOf('paid', 32);
    if (source.kind === 'genesis') throw new Error('a transaction made it');
    const receipt = encodeReceipt(networkId, source);
    expect(receipt.length).toBeGreaterThan(8 * 1024);
    expect(receipt.length).toBeLessThanOrEqual(maxReceiptBytes);
    const written = addPayment(emptyWallet, paymentOf(null), []);
    const state = addStage(written, seedOf('payment'), 'final', receipt);
    const read = decodeWallet(encodeWallet(state));
    expect(read.ok && read.value.payments.get(toHex(seedOf('payment')))?.receipt).toEqual(receipt);
  });

  test('a coin reserved by a hundred payments', () => {
    const { coin, source } = oneCoin('a');
    let state = addCoin(emptyWallet, coin, source, 1);
    for (let n = 0; n < 100; n++) {
      state = addPayment(state, { ...paymentOf(null), txid: seedOf(`${n}`) }, [coin.keyImage]);
    }
    const read = decodeWallet(encodeWallet(state));
    expect(read.ok && [...read.value.coins.values()][0]?.reservedBy.size).toBe(100);
  });

  test('encoders refuse what no decoder accepts', () => {
    const { transaction } = sourceOf('paid', 32) as { transaction: Uint8Array };
    const sources = Array.from({ length: maxInputs + 1 }, (_, i) => sourceOf(`coin ${i}`, 0));
    expect(() =>
      encodeBundle({ transaction, sources, prepared: null, certificates: null }),
    ).toThrow();
    const state = addPayment(emptyWallet, paymentOf(new Uint8Array(maxBundleBytes + 1)), []);
    expect(() => encodeWallet(state)).toThrow();
  });

  test('the facts of a payment that outlived a hundred epochs', () => {
    let facts: readonly PaymentFact[] = [];
    for (let epoch = 0n; epoch < 100n; epoch++) {
      for (let index = 0; index < 2; index++) {
        facts = withPaymentFact(facts, {
          kind: 'prepared',
          index,
          certificate: certificate(32, epoch),
        });
      }
    }
    facts = withPaymentFact(facts, {
      kind: 'committed',
      index: 0,
      certificate: certificate(32, 99n),
    });
    const read = decodePaymentFacts(encodePaymentFacts(facts));
    expect(read).toEqual(facts);
    expect(read.map(({ kind }) => kind)).toEqual(['prepared', 'prepared', 'committed']);
  });
});

describe('a wallet of version 0.1', () => {
  /** Its certificates named the inclusion proof `sealed`. */
  const certificateAsWritten = ({ inclusion, ...rest }: SpendCertificate): unknown => ({
    ...rest,
    sealed: inclusion,
  });
  const sourceAsWritten = (source: InputSource): unknown =>
    source.kind === 'genesis'
      ? source
      : { ...source, certificates: source.certificates.map(certificateAsWritten) };

  /** Its layout, as it was written. */
  const first = (state: WalletState): Uint8Array =>
    encodeCbor({
      version: 1,
      coins: [...state.coins.values()].map((each) => ({
        ...each,
        source: each.source === null ? null : sourceAsWritten(each.source),
        reservedBy: [...each.reservedBy].sort(),
        spentBy: [...each.spentBy].sort(),
      })),
      payments: [...state.payments.values()].map((each) => ({
        ...each,
        // Version 0.1 named this stage by its certificate.
        stages: [...each.stages].map((at) => (at === 'committing' ? 'prepared' : at)).sort(),
      })),
    });

  test('is read, and written in the current layout', () => {
    const own = genesisCoin(faucet, makeSection(toySuite, toyScalars, toyName).section);
    const made = oneCoin('a', { inputs: 2 });
    let state = addCoin(emptyWallet, made.coin, made.source, 3);
    if (own !== null) state = addCoin(state, own.coin, own.source, 1);
    state = addPayment(state, paymentOf(seedOf('bundle')), [made.coin.keyImage]);
    state = addStage(state, seedOf('payment'), 'committing');
    state = addSpend(state, made.coin.keyImage, seedOf('thief'));
    const read = decodeWallet(first(state));
    if (!read.ok) throw new Error(read.error);
    expect(toHex(encodeWallet(read.value))).toBe(toHex(encodeWallet(state)));
    expect(decodeWallet(encodeWallet(read.value)).ok).toBe(true);
  });

  test('its payments in progress are read: bundles and facts', () => {
    const { source } = oneCoin('a', { inputs: 2, path: 32 });
    if (source.kind === 'genesis') throw new Error('a transaction made it');
    const { transaction, certificates } = source;
    const written = certificates.map(certificateAsWritten);
    const bundle = { transaction, sources: [source], prepared: certificates, certificates };
    const old = { ...bundle, sources: [sourceAsWritten(source)] };
    expect(decodeBundle(encodeCbor({ ...old, prepared: written, certificates: written }))).toEqual({
      ok: true,
      value: bundle,
    });

    const [certificate, second] = certificates;
    if (certificate === undefined || second === undefined) throw new Error('it has two inputs');
    const by = { txid: seedOf('thief'), transaction, keyImage: seedOf('coin'), certificate };
    const facts: readonly PaymentFact[] = [
      { kind: 'prepared', index: 0, certificate },
      { kind: 'committed', index: 1, certificate: second },
      { kind: 'replaced', by },
    ];
    const asWritten = [
      { ...facts[0], certificate: certificateAsWritten(certificate) },
      { ...facts[1], certificate: certificateAsWritten(second) },
      { kind: 'replaced', by: { ...by, certificate: certificateAsWritten(certificate) } },
    ].map(encodeCbor);
    expect(decodePaymentFacts(encodeCbor(asWritten))).toEqual(facts);
  });

  test('is read with everything 0.1 could write and not read: long bundles, receipts, addresses', () => {
    const source = sourceOf('paid', 32);
    if (source.kind === 'genesis') throw new Error('a transaction made it');
    const payment = {
      ...paymentOf(new Uint8Array(70 * 1024)),
      address: `${' '.repeat(250)}safe1x `,
      receipt: encodeReceipt(networkId, source),
      stages: new Set(['final'] as const),
    };
    const state = { ...emptyWallet, payments: new Map([[toHex(payment.txid), payment]]) };
    const read = decodeWallet(first(state));
    expect(read.ok && [...read.value.payments.values()][0]?.address).toBe('safe1x');
  });

  test('loses a proof that elders refuse, and accepts a valid one', () => {
    const { coin, source } = oneCoin('a', { inputs: 2 });
    const broken = recordOf(coin, withCertificates(source, 1));
    const state = { ...emptyWallet, coins: new Map([[toHex(coin.keyImage), broken]]) };
    const read = decodeWallet(first(state));
    if (!read.ok) throw new Error(read.error);
    expect(spendable(read.value)).toHaveLength(0);
    expect(spendable(addCoin(read.value, coin, source, 9))).toHaveLength(1);
  });
});

describe('proofs', () => {
  test('with a wrong number of certificates are refused', () => {
    const { coin, source } = oneCoin('a', { inputs: 2 });
    for (const count of [1, 3]) {
      expect(addCoin(emptyWallet, coin, withCertificates(source, count), 1)).toBe(emptyWallet);
    }
    expect(addCoin(emptyWallet, coin, source, 1).coins.size).toBe(1);
    const [, other] = coinsOf('b', { amounts: [7n, 8n] });
    if (other !== undefined) expect(addCoin(emptyWallet, coin, other.source, 1)).toBe(emptyWallet);
  });

  test('are stored once for all coins of a transaction, also when a dishonest elder varies its signatures', () => {
    const coins = coinsOf('dust', { amounts: Array(maxOutputs).fill(1n) as bigint[] });
    const varied = coins.map(({ coin }, i) => ({
      coin,
      source: coinsOf('dust', { amounts: Array(maxOutputs).fill(1n) as bigint[], signature: i })[i]
        ?.source,
    }));
    let state: WalletState = emptyWallet;
    for (const { coin, source } of varied) if (source) state = addCoin(state, coin, source, 1);
    expect(spendable(state)).toHaveLength(maxOutputs);
    expect(walletBytes(state)).toBeLessThan(10_000);
    const read = decodeWallet(encodeWallet(state));
    expect(read.ok && spendable(read.value).length).toBe(maxOutputs);
  });
});

describe('dust', () => {
  test('never fills a wallet: unsolicited payments stop far below the size of the index', () => {
    const name = (n: number): Uint8Array => {
      const bytes = new Uint8Array(32);
      new DataView(bytes.buffer).setUint32(0, n);
      return bytes;
    };
    // The largest possible proof per coin, each distinct, in steps of a thousand coins.
    const big = oneCoin('dust', { inputs: maxInputs, path: 32 });
    if (big.source.kind === 'genesis') throw new Error('a transaction made it');
    let coins = new Map<string, ReturnType<typeof recordOf>>();
    let taken = 0;
    for (let n = 0; n < 5_000; n++) {
      const state: WalletState = { ...emptyWallet, coins };
      if (n % 100 === 0) taken = walletBytes(state);
      if (!acceptsCoin(taken, 1n)) break;
      const coin: Coin = { ...big.coin, keyImage: name(n), oneTimeKey: name(n) };
      const [first = big.source.certificates[0]] = big.source.certificates;
      const certificates = big.source.certificates.map((each, i) =>
        i === 0 && first ? { ...first, epoch: BigInt(n) } : each,
      );
      coins = new Map(coins).set(
        toHex(coin.keyImage),
        recordOf(coin, { ...big.source, certificates }),
      );
    }
    expect(taken).toBeGreaterThan(dustLimitFromBytes);
    expect(taken).toBeLessThan(2 * dustLimitFromBytes);
    expect(acceptsCoin(taken, PARTS_PER_UNIT)).toBe(true);
    expect(acceptsCoin(maxIncomingBytes, 1_000_000n * PARTS_PER_UNIT)).toBe(false);
    expect(2 * maxIncomingBytes).toBeLessThan(MAX_WALLET_BYTES);
  });

  test('is left in the network and found again from there when there is space', () => {
    const toy = makeSection(toySuite, toyScalars, toyName);
    const own = genesisCoin(faucet, toy.section);
    const planned =
      own &&
      planPayment({
        keys: faucet,
        networkId,
        coins: spendable(addCoin(emptyWallet, own.coin, own.source, 1)),
        address: addressFor('alice'),
        amount: 5n,
        memo: utf8(''),
        entropy: seedOf('e'),
      });
    if (!planned?.ok) throw new Error('a plan');
    const { transaction } = planned.value.bundle;
    const decoded = decodeTransaction(transaction);
    if (!decoded.ok) throw new Error('our own transaction');
    const certificates = certify(toy, toySuite, 'COMMIT', decoded.value);
    const index = decoded.value.outputs.findIndex(({ amount }) => amount === 5n);
    const line = encodeRegistryEntry({ transaction, certificates, index });
    const scanner = { keys: keysOf('alice'), sections: toy.known, suite: toySuite };
    const full = { ...scanner, acceptsCoin: () => false };
    const left = scanEntry(full, emptyWallet, line, 1);
    expect(left).toEqual({ ok: true, value: { state: emptyWallet, skipped: 5n } });

    const place = withSkipped({ ...startOfList, after: 900 }, 640, 5n);
    const kept = decodeWallet(
      encodeWallet(addListPositions(emptyWallet, new Map([[toHex(seedOf('x')), place]]))),
    );
    expect(kept.ok && kept.value.lists.get(toHex(seedOf('x')))).toEqual(place);
    expect(rereadSkipped(place)).toEqual({ generation: 1, after: 640, skipped: null });
    const found = scanEntry(scanner, emptyWallet, line, 1);
    expect(found.ok && found.value.state.coins.size).toBe(1);
  });
});

test('a coin is free only when no payment that reserves it can still become final', () => {
  const names = ['a', 'b', 'c'] as const;
  const events = fc.array(
    fc.record({
      payment: fc.constantFrom('t1', 't2', 't3'),
      coins: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
      spent: fc.option(
        fc.record({
          coin: fc.constantFrom(...names),
          by: fc.constantFrom('t1', 't2', 't3', 'rival'),
        }),
        { nil: null },
      ),
      isFinal: fc.boolean(),
    }),
    { maxLength: 5 },
  );
  const made = new Map(names.map((name) => [name, oneCoin(name)]));
  const all = [...made.values()].reduce<WalletState>(
    (state, { coin, source }) => addCoin(state, coin, source, 1),
    emptyWallet,
  );
  const imageOf = (name: (typeof names)[number]): Uint8Array =>
    made.get(name)?.coin.keyImage ?? new Uint8Array();
  fc.assert(
    fc.property(events, (list) => {
      const state = list.reduce<WalletState>((now, { payment, coins, spent, isFinal }) => {
        const record = { ...paymentOf(null), txid: seedOf(payment) };
        let next = addPayment(now, record, coins.map(imageOf));
        if (isFinal) next = addStage(next, record.txid, 'final');
        return spent === null ? next : addSpend(next, imageOf(spent.coin), seedOf(spent.by));
      }, all);
      const dead = deadPayments(state);
      for (const { coin, reservedBy } of spendable(state)) {
        for (const txid of reservedBy) {
          const stages = state.payments.get(txid)?.stages;
          const lost = [...state.coins.values()].some(
            (each) => each.reservedBy.has(txid) && each.spentBy.size > 0 && !each.spentBy.has(txid),
          );
          expect([toHex(coin.keyImage), lost, stages?.has('final'), dead.has(txid)]).toEqual([
            toHex(coin.keyImage),
            true,
            false,
            true,
          ]);
        }
      }
      const idle = [...state.coins.values()].filter((each) => each.spentBy.size === 0);
      const free = idle.filter(({ reservedBy }) => [...reservedBy].every((txid) => dead.has(txid)));
      expect(spendable(state)).toHaveLength(free.length);
    }),
  );
});

test('never reserved coins are spent before those a dead payment released', () => {
  const toy = makeSection(toySuite, toyScalars, toyName);
  const own = genesisCoin(faucet, toy.section);
  if (own === null) throw new Error('the faucet made the first coin');
  const freed = { ...recordOf(own.coin, own.source), reservedBy: new Set([toHex(seedOf('dead'))]) };
  const wish = {
    keys: faucet,
    networkId,
    address: addressFor('alice'),
    amount: 1n,
    memo: utf8(''),
    entropy: seedOf('e'),
  };
  const only = planPayment({ ...wish, coins: [freed] });
  expect(only.ok && only.value.spends).toEqual([own.coin.keyImage]);
  // The released coin is the smaller one and would be chosen otherwise.
  const fresh = {
    ...recordOf({ ...own.coin, amount: own.coin.amount + 1n }, own.source),
    seenAt: 9,
  };
  const both = planPayment({ ...wish, coins: [freed, fresh] });
  const decoded = both.ok ? decodeTransaction(both.value.bundle.transaction) : both;
  expect(decoded.ok && decoded.value.inputs[0]?.amount).toBe(own.coin.amount + 1n);
});
