/**
 * Goal: two devices that write concurrently lose nothing; money is planned exactly; texts are strict.
 * Method: random histories merged in every order; a payment from plan to the recipient's coin.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import {
  encodeRegistryEntry,
  verifyCommitted,
  type InputSource,
} from '#money/spend-certificate.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify-transaction.ts';
import {
  adoptPayment,
  addCoin,
  addPayment,
  addListPositions,
  addSpend,
  addStage,
  balanceOf,
  decodeWallet,
  emptyWallet,
  encodeReceipt,
  encodeWallet,
  isCompleteReceipt,
  genesisCoin,
  historyOf,
  mergeWallets,
  parseReceiptText,
  planPayment,
  receiptBytesToText,
  scanCommitted,
  scanEntry,
  spendable,
  type Coin,
  type PaymentIntent,
  type WalletState,
} from '#safe/wallet/index.ts';
import { decodeBundle, encodeBundle } from '#safe/payment/index.ts';
import {
  addressFor,
  certify,
  faucet,
  genesisAmount,
  keysOf,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from '../money/fixtures.ts';
import { oneCoin, recordOf, withCertificates } from './coins.ts';

const toy = makeSection(toySuite, toyScalars, toyName);
const { section, known: sections } = toy;

function coinOf(name: string, amount: bigint): [Coin, InputSource] {
  const { coin, source } = oneCoin(name, { amounts: [amount] });
  return [coin, source];
}

function first(): WalletState {
  const own = genesisCoin(faucet, section);
  if (own === null) throw new Error('the faucet made the first coin');
  return addCoin(emptyWallet, own.coin, own.source, 1);
}

function plan(
  state: WalletState,
  amount: bigint,
  to = 'alice',
  entropy = 'entropy',
): PaymentIntent {
  const planned = planPayment({
    keys: faucet,
    networkId,
    coins: spendable(state),
    address: addressFor(to),
    amount,
    memo: utf8('for tea'),
    entropy: seedOf(entropy),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  return planned.value;
}

const write = (state: WalletState, intent: PaymentIntent, amount: bigint): WalletState =>
  addPayment(
    state,
    {
      txid: intent.txid,
      amount,
      address: 'safe1…',
      memo: utf8('for tea'),
      at: 5,
      bundle: encodeBundle(intent.bundle),
    },
    intent.spends,
  );

function committed(intent: PaymentIntent) {
  const { transaction } = intent.bundle;
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) throw new Error('our own transaction');
  return { transaction, certificates: certify(toy, toySuite, 'COMMIT', decoded.value) };
}

function decodedAgain(state: WalletState): WalletState {
  const decoded = decodeWallet(encodeWallet(state));
  if (!decoded.ok) throw new Error('our own wallet');
  return decoded.value;
}

describe('merge', () => {
  const places = fc.record({
    generation: fc.integer({ min: 0, max: 2 }),
    after: fc.integer({ min: 0, max: 9 }),
    skipped: fc.option(
      fc.record({ from: fc.integer({ min: 0, max: 9 }), largest: fc.bigInt({ min: 0n, max: 9n }) }),
      { nil: null },
    ),
  });
  const receiptOf = (name: string, certificates: number): Uint8Array => {
    const source = withCertificates(oneCoin(name, { inputs: 2 }).source, certificates);
    if (source.kind === 'genesis') throw new Error('a transaction made it');
    return encodeReceipt(networkId, source);
  };
  const receipts = {
    none: null,
    broken: receiptOf('a', 1),
    'broken too': seedOf('no receipt at all'),
    whole: receiptOf('z', 2),
    'whole too': receiptOf('y', 2),
  };
  /** Random states: coins received, reserved and spent, payments at any stage. */
  const wallets = fc
    .array(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c'),
        at: fc.integer({ min: 0, max: 9 }),
        payment: fc.option(fc.constantFrom('t1', 't2'), { nil: null }),
        spender: fc.option(fc.constantFrom('t1', 't2'), { nil: null }),
        stage: fc.constantFrom('committing', 'final', 'registered', null),
        receipt: fc.constantFrom('none', 'broken', 'broken too', 'whole', 'whole too'),
        proof: fc.constantFrom('none', 'short', 'long', 'whole', 'whole too'),
        place: fc.option(places, { nil: null }),
      }),
      { maxLength: 6 },
    )
    .map((events) =>
      events.reduce((state, { name, at, payment, spender, stage, receipt, proof, place }) => {
        const { coin: known, source } = oneCoin(name, { inputs: 2 });
        // However a proof was added, also one that this program would have refused.
        const proofs = {
          none: null,
          short: withCertificates(source, 1),
          long: withCertificates(source, 3),
          whole: source,
          'whole too': oneCoin(name, { inputs: 2, signature: 9 }).source,
        };
        let now = mergeWallets(state, {
          ...emptyWallet,
          coins: new Map([
            [toHex(known.keyImage), { ...recordOf(known, proofs[proof]), seenAt: at }],
          ]),
        });
        if (place !== null) now = addListPositions(now, new Map([[toHex(seedOf(name)), place]]));
        if (payment !== null) {
          const txid = seedOf(payment);
          const record = {
            txid,
            amount: 1n,
            address: ['', 'x', 'y'][at % 3] ?? '',
            memo: utf8(''),
            at,
            bundle: seedOf(`${payment}${at % 2}`),
          };
          now = addPayment(now, record, [known.keyImage]);
          if (stage !== null) now = addStage(now, txid, stage, receipts[receipt]);
        }
        return spender === null ? now : addSpend(now, known.keyImage, seedOf(spender));
      }, emptyWallet),
    );
  const same = (a: WalletState, b: WalletState): boolean =>
    toHex(encodeWallet(a)) === toHex(encodeWallet(b));

  test('is commutative', () => {
    fc.assert(
      fc.property(wallets, wallets, (a, b) => same(mergeWallets(a, b), mergeWallets(b, a))),
    );
  });

  test('is associative', () => {
    fc.assert(
      fc.property(wallets, wallets, wallets, (a, b, c) =>
        same(mergeWallets(mergeWallets(a, b), c), mergeWallets(a, mergeWallets(b, c))),
      ),
    );
  });

  test('is idempotent, and loses nothing', () => {
    fc.assert(
      fc.property(wallets, wallets, (a, b) => {
        const merged = mergeWallets(a, b);
        return same(mergeWallets(a, a), a) && same(mergeWallets(merged, a), merged);
      }),
    );
  });

  test('survives encoding, except for proofs that elders would refuse; random bytes are refused', () => {
    fc.assert(
      fc.property(wallets, (a) => {
        const read = decodeWallet(encodeWallet(a));
        const coins = new Map(
          [...a.coins].map(([key, each]) => {
            const whole =
              each.source?.kind === 'committed' && each.source.certificates.length === 2;
            return [key, whole ? each : { ...each, source: null }] as const;
          }),
        );
        return read.ok && same(read.value, { ...a, coins });
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => !decodeWallet(noise).ok));
  });

  test('a valid proof and receipt win over smaller invalid ones', () => {
    const whole = (source: unknown): boolean =>
      (source as { certificates?: readonly unknown[] } | null)?.certificates?.length === 2;
    fc.assert(
      fc.property(wallets, wallets, (a, b) => {
        const merged = mergeWallets(a, b);
        const proofs = [...merged.coins].every(([key, each]) => {
          const had = [a, b].some((side) => whole(side.coins.get(key)?.source));
          return !had || each.spentBy.size > 0 || whole(each.source);
        });
        const kept = [...merged.payments].every(([key, { receipt }]) => {
          const had = [a, b].some((side) => {
            const theirs = side.payments.get(key)?.receipt ?? null;
            return theirs !== null && isCompleteReceipt(theirs);
          });
          return !had || (receipt !== null && isCompleteReceipt(receipt));
        });
        return proofs && kept;
      }),
    );
  });

  test('PAYMENT-P8: an adopted payment gets its recipient from the device that made it', () => {
    const intent = plan(first(), 10n);
    const made = write(first(), intent, 10n);
    const { transaction } = intent.bundle;
    const adopted = adoptPayment(faucet, networkId, first(), transaction, 9);
    if (!adopted.ok) throw new Error(adopted.error);
    expect(historyOf(adopted.value)).toMatchObject([
      { direction: 'out', amount: 10n, memo: '', recipientUnknown: true, at: 9 },
      { direction: 'in' },
    ]);
    expect(spendable(adopted.value)).toEqual([]);
    for (const merged of [
      mergeWallets(made, adopted.value),
      mergeWallets(adopted.value, made),
      decodedAgain(mergeWallets(adopted.value, made)),
    ]) {
      const [record] = [...merged.payments.values()];
      expect(record).toMatchObject({
        address: 'safe1…',
        amount: 10n,
        memo: utf8('for tea'),
        at: 5,
      });
    }
    expect(decodedAgain(adopted.value)).toEqual(adopted.value);
  });

  test('one device knows the payment, the other the spend → the merge is replaced', () => {
    const one = write(first(), plan(first(), 10n), 10n);
    const own = genesisCoin(faucet, section);
    const other = addSpend(first(), own?.coin.keyImage ?? seedOf(''), seedOf('rival'));
    const merged = mergeWallets(one, other);
    expect(historyOf(merged).map(({ stage }) => stage)).toContain('replaced');
    expect(balanceOf(merged)).toEqual({ available: 0n, reserved: 0n });
  });
});

describe('payments', () => {
  test('SPENTBOOK-R0: from plan to the recipient and the change, with the memo', () => {
    const intent = plan(first(), 600n);
    const bundle = decodeBundle(encodeBundle(intent.bundle));
    expect(bundle.ok && bundle.value).toEqual(intent.bundle);
    expect(verifyTransaction(intent.bundle.transaction, networkId, () => genesisAmount).ok).toBe(
      true,
    );
    const written = write(first(), intent, 600n);
    expect(balanceOf(written)).toEqual({ available: 0n, reserved: genesisAmount });

    const final = addStage(
      scanCommitted(faucet, written, committed(intent), 9),
      intent.txid,
      'final',
    );
    expect(balanceOf(final)).toEqual({ available: genesisAmount - 600n, reserved: 0n });
    expect(historyOf(final).find(({ direction }) => direction === 'out')).toMatchObject({
      amount: 600n,
      memo: 'for tea',
      stage: 'final',
    });
    expect(plan(final, 5n).spends).toHaveLength(1); // The change can be spent immediately.

    const alice = { keys: keysOf('alice'), sections, suite: toySuite };
    const bob = { keys: keysOf('bob'), sections, suite: toySuite };
    const lines = [0, 1].map((index) => encodeRegistryEntry({ ...committed(intent), index }));
    const scan = (who: typeof alice): WalletState =>
      lines.reduce((state, line) => {
        const learnt = scanEntry(who, state, line, 11);
        return learnt.ok ? learnt.value.state : state;
      }, emptyWallet);
    expect(balanceOf(scan(alice)).available).toBe(600n);
    expect(historyOf(scan(alice))).toMatchObject([
      { direction: 'in', amount: 600n, memo: 'for tea' },
    ]);
    expect(scan(bob)).toEqual(emptyWallet);
  });

  test('a restored wallet learns from the registry that a coin is spent', () => {
    const intent = plan(first(), 600n);
    const scanner = { keys: faucet, sections, suite: toySuite };
    const learnt = scanEntry(
      scanner,
      first(),
      encodeRegistryEntry({ ...committed(intent), index: 0 }),
      3,
    );
    expect(
      learnt.ok && [...learnt.value.state.coins.values()].some(({ spentBy }) => spentBy.size > 0),
    ).toBe(true);
  });

  test('a registry line without a valid certificate changes nothing', () => {
    const intent = plan(first(), 600n);
    const { transaction, certificates } = committed(intent);
    const forged = certificates.map((each) => ({ ...each, signature: new Uint8Array(48).fill(1) }));
    const scanner = { keys: keysOf('alice'), sections, suite: toySuite };
    const results = [0, 1].map((index) =>
      scanEntry(
        scanner,
        emptyWallet,
        encodeRegistryEntry({ transaction, certificates: forged, index }),
        3,
      ),
    );
    expect(results.some((result) => !result.ok && result.error === 'forgedCertificate')).toBe(true);
    expect(results.every((result) => !result.ok || result.value.state.coins.size === 0)).toBe(true);
  });

  test('each error names what is missing', () => {
    const wish = {
      keys: faucet,
      networkId,
      coins: [
        ...Array.from({ length: 20 }, (_, i) => addCoin(emptyWallet, ...coinOf(String(i), 10n), 1)),
      ].flatMap((state) => spendable(state)),
      address: addressFor('alice'),
      memo: utf8(''),
      entropy: seedOf('e'),
    };
    const kind = (amount: bigint, memo = wish.memo): unknown => {
      const planned = planPayment({ ...wish, amount, memo });
      return planned.ok ? 'planned' : planned.error;
    };
    expect(kind(201n)).toEqual({ kind: 'notEnough', available: 200n, needed: 201n });
    expect(kind(81n)).toEqual({ kind: 'tooManyInputs', possible: 80n });
    expect(kind(0n)).toEqual({ kind: 'badAmount' });
    expect(kind(1n << 64n)).toEqual({ kind: 'badAmount' });
    expect(kind(1n, new Uint8Array(65))).toEqual({ kind: 'memoTooLong', maxBytes: 64 });
  });
});

describe('receipt', () => {
  const intent = plan(first(), 600n);
  const text = receiptBytesToText(encodeReceipt(networkId, committed(intent)));

  test('carries the payment to its recipient', () => {
    const read = parseReceiptText(networkId, text);
    if (!read.ok) throw new Error(read.error);
    expect(verifyCommitted(sections, toySuite, read.value).ok).toBe(true);
    const alice = scanCommitted(keysOf('alice'), emptyWallet, read.value, 1);
    expect(balanceOf(alice).available).toBe(600n);
  });

  test('refuses with the reason', () => {
    const at = text.length - 20;
    const typo = text.slice(0, at) + (text[at] === 'q' ? 'p' : 'q') + text.slice(at + 1);
    expect(parseReceiptText(networkId, typo)).toEqual({ ok: false, error: 'mistyped' });
    expect(parseReceiptText(networkId, text.slice(0, -1))).toEqual({
      ok: false,
      error: 'mistyped',
    });
    expect(parseReceiptText(seedOf('other'), text)).toEqual({ ok: false, error: 'wrongNetwork' });
  });
});
