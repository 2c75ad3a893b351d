/**
 * Goal: a payment lets another transaction of its coin go first exactly when that one can still become final
 * and ours cannot, and only on evidence (PAYMENT-P8).
 * Method: the rule with every kind of count; the payment machine with answers of seven elders, one by one.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { Effect, Event, Step } from '#core/machine.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import { spendStatementBytes } from '#money/spend-certificate.ts';
import { genesisKeyPair } from '#money/wallet-keys.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import {
  decodePaymentFact,
  encodePaymentFact,
  payment,
  performPaymentJob,
  type Payment,
  type PaymentConfig,
  type PaymentFact,
  type PaymentState,
} from '#safe/payment/index.ts';
import { prepareVoteBytes, type SpentbookAnswer } from '#protocol/spentbook/index.ts';
import { goesFirst, type VoteCount } from '../../../src/safe/payment/adopt-other-payment.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';
import {
  addressFor,
  genesis,
  genesisAmount,
  makeSection,
  networkId,
  seedOf,
  toyIdentity,
  toyName,
  type TestElder,
} from './fixtures.ts';

describe('PAYMENT-P8: of seven elders', () => {
  const count = (ours: number, theirs: number, notHeard = 7 - ours - theirs): VoteCount => ({
    ours,
    theirs,
    notHeard,
  });
  const isPossible = ({ ours, notHeard }: VoteCount): boolean => ours + notHeard >= 5;
  const decide = (each: VoteCount, isTheirsLower: boolean, isPatienceOver: boolean): boolean =>
    goesFirst([each], isPossible(each), isTheirsLower, isPatienceOver);

  test.each([
    // Ours, theirs: all have voted.
    [count(2, 5), true],
    [count(1, 6), true],
    [count(0, 7), true],
    [count(3, 4), false],
    [count(4, 3), false],
    [count(5, 2), false],
    // Some have not answered.
    [count(0, 3), true],
    [count(2, 3), true],
    [count(3, 3), false],
    [count(2, 4), true],
    [count(0, 2), false],
    // Two liars have voted for both.
    [count(2, 5, 2), true],
    [count(5, 2, 0), false],
    [count(4, 4, 1), false],
  ])('%o: goes first at once: %s', (each, expected) => {
    for (const isTheirsLower of [true, false]) {
      expect(decide(each, isTheirsLower, false)).toBe(expected);
    }
  });

  test.each([
    [count(0, 1), true],
    [count(1, 2), true],
    [count(2, 1), false],
    [count(0, 0), false],
    // Two elders never answer: neither of these can be final without one of them.
    [count(3, 2), false],
    [count(2, 3), true],
  ])('%o: goes first once patience is over: %s', (each, expected) => {
    expect(decide(each, false, true)).toBe(expected);
  });

  test('equal counts: the lower txid goes first, on both devices', () => {
    expect(decide(count(2, 2), true, true)).toBe(true);
    expect(decide(count(2, 2), false, true)).toBe(false);
  });

  test('it must be possible on every common slot', () => {
    const [won, lost] = [count(2, 5), count(5, 2)];
    expect(goesFirst([won, lost], false, true, true)).toBe(false);
    expect(goesFirst([won, won], false, false, false)).toBe(true);
  });
});

const toy = makeSection(toySuite, toyScalars, toyName);
const sections = onlyPaymentSection(toy.section, toy.elders);

function spend(to: string, ...more: readonly ReturnType<typeof genesisKeyPair>[]): Transaction {
  const coins = [genesis, ...more];
  const built = buildTransaction({
    networkId,
    inputs: coins.map(({ secret, oneTimeKey }) => ({
      secret: secret.reveal().slice(),
      oneTimeKey,
      amount: genesisAmount,
    })),
    outputs: [
      {
        address: addressFor(to),
        amount: genesisAmount * BigInt(coins.length),
        memo: new Uint8Array(),
      },
    ],
    fee: 0n,
    recoveryKey: () => seedOf('recovery'),
    entropy: seedOf(`entropy ${to}`),
  });
  if (built === undefined) throw new Error('a real address');
  return built;
}

const [ours, other, third] = [spend('ours'), spend('other'), spend('third')];
const config: PaymentConfig = {
  sections,
  identity: toyIdentity,
  bundle: {
    transaction: encodeTransaction(ours),
    sources: [{ kind: 'genesis' }],
    prepared: null,
    certificates: null,
  },
  repeatEveryMs: 1_000,
};
const context = { now: 0, entropy: seedOf('none') };
const keyImage = ours.inputs[0]?.keyImage ?? new Uint8Array();
const elderAt = (index: number): TestElder => {
  const elder = toy.elders[index];
  if (elder === undefined) throw new Error('seven elders');
  return elder;
};

/** One payment and all its effects so far; its jobs end at once. */
function begin(facts: readonly PaymentFact[] = [], at = config) {
  const effects: Effect<Payment>[] = [];
  let state: PaymentState | undefined = undefined;
  const apply = (step: Step<PaymentState, Payment>): void => {
    state = step.state;
    effects.push(...step.effects);
    for (const effect of step.effects) {
      if (effect.kind !== 'compute') continue;
      const result = performPaymentJob(effect.job, toySuite);
      send({ kind: 'computed', id: effect.id, result });
    }
  };
  const now = (): PaymentState => {
    if (state === undefined) throw new Error('it has started');
    return state;
  };
  const send = (event: Event<Payment>): void => apply(payment.step(at, now(), event, context));
  const answer = (
    index: number,
    make: (request: Uint8Array) => SpentbookAnswer,
    slot = 0,
  ): void => {
    const request = now().plan.requests.preparing[slot] ?? new Uint8Array();
    const message = { kind: 'slotAnswer', answer: make(request) } as const;
    send({ kind: 'received', from: toHex(elderAt(index).name), message });
  };
  apply(payment.start(at, facts, context));
  return {
    state: now,
    votesFor: (index: number, transaction: Transaction, sent = transaction, slot = 0) => {
      const { name, identitySeed } = elderAt(index);
      const txid = txidOf(transaction);
      const spent = now().plan.slots[slot]?.keyImage ?? new Uint8Array();
      const bytes = prepareVoteBytes(toy.section, { keyImage: spent, ballot: 0, txid });
      const signature = toyIdentity.sign(identitySeed, bytes);
      const vote = { elder: name, ballot: 0, txid, signature };
      const transactionBytes = encodeTransaction(sent);
      const common = { kind: 'conflict', vote, transaction: transactionBytes } as const;
      answer(index, (request) => ({ ...common, request }), slot);
    },
    votesForOurs: (index: number) => {
      const statement = { keyImage, ballot: 0, txid: txidOf(ours) };
      const bytes = spendStatementBytes(toy.section, statement);
      const share = toySuite.sign(elderAt(index).secretShare, 'PREPARE', bytes);
      answer(index, (request) => ({ kind: 'prepared', request, ballot: 0, share }));
    },
    round: () => send({ kind: 'timerFired', timer: 'repeat' }),
    sections: (changed: PaymentConfig['sections']) =>
      send({ kind: 'input', input: { kind: 'sections', sections: changed } }),
    adopted: (): readonly Uint8Array[] =>
      effects.flatMap((effect) =>
        effect.kind === 'output' && effect.output.kind === 'adopt'
          ? [effect.output.other.txid]
          : [],
      ),
    waiting: (): readonly string[] =>
      effects.flatMap((effect) =>
        effect.kind === 'output' && effect.output.kind === 'waiting'
          ? [effect.output.reason.kind]
          : [],
      ),
    facts: (): readonly PaymentFact[] =>
      effects.flatMap((effect) => {
        if (effect.kind !== 'persist') return [];
        const decoded = decodePaymentFact(encodePaymentFact(effect.fact));
        return decoded.ok ? [decoded.value] : [];
      }),
    effects: (): readonly Effect<Payment>[] => effects,
    blamed: (): number => effects.filter(({ kind }) => kind === 'blame').length,
    /** The elders asked by the latest request, by index. */
    asked: (): readonly number[] => {
      const last = effects.findLast(({ kind }) => kind === 'send');
      const to = last?.kind === 'send' ? last.to : [];
      return toy.elders.flatMap(({ name }, index) => (to.includes(toHex(name)) ? [index] : []));
    },
  };
}

describe('PAYMENT-P8: a payment', () => {
  test('adopts what three elders have voted for, once, stored before it is given out', () => {
    const run = begin();
    run.votesFor(0, other);
    run.votesFor(1, other);
    expect(run.adopted()).toEqual([]);
    expect(run.waiting()).toEqual(['conflict']);
    run.votesFor(2, other);
    run.votesFor(3, other);
    run.round();
    expect(run.adopted()).toEqual([txidOf(other)]);
    const kinds = run
      .effects()
      .map((each) => (each.kind === 'output' ? each.output.kind : each.kind));
    expect(kinds.indexOf('persist')).toBeGreaterThan(0);
    expect(kinds.indexOf('persist')).toBeLessThan(kinds.indexOf('adopt'));
  });

  test('then asks only elders that have voted otherwise, also after a restart', () => {
    const run = begin();
    for (const index of [0, 1, 2]) run.votesFor(index, other);
    run.round();
    expect(run.asked()).toEqual([0, 1, 2]);
    const again = begin(run.facts());
    expect(again.adopted()).toEqual([txidOf(other)]);
    expect(again.asked()).toEqual([0, 1, 2]);
    for (let round = 0; round < 6; round++) again.round();
    expect(again.asked()).toEqual([0, 1, 2]);
  });

  test('goes on when both can still be final', () => {
    const run = begin();
    run.votesFor(0, other);
    for (const index of [1, 2]) run.votesForOurs(index);
    for (let round = 0; round < 6; round++) run.round();
    expect(run.adopted()).toEqual([]);
    expect(run.asked()).toEqual([0, 3, 4, 5, 6]);
  });

  test('holds back only for some rounds for one that is merely ahead', () => {
    const run = begin();
    run.votesFor(0, other);
    run.round();
    expect(run.adopted()).toEqual([]);
    run.round();
    expect(run.adopted()).toEqual([txidOf(other)]);
    expect(run.asked()).toEqual([0]);
    for (let round = 0; round < 3; round++) run.round();
    expect(run.asked()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test.each([
    [3, 4],
    [4, 3],
  ])('with %i votes and %i against adopts nothing, and reports that it waits', (mine, theirs) => {
    const run = begin();
    for (let index = 0; index < mine; index++) run.votesForOurs(index);
    for (let index = 0; index < theirs; index++) run.votesFor(mine + index, other);
    for (let round = 0; round < 6; round++) run.round();
    expect(run.adopted()).toEqual([]);
    expect(run.waiting()).toEqual(['conflict']);
  });

  test('is prepared by five although two liars have voted for both', () => {
    const run = begin();
    for (const index of [0, 1]) run.votesFor(index, other);
    for (const index of [0, 1, 2, 3, 4]) run.votesForOurs(index);
    for (let round = 0; round < 6; round++) run.round();
    expect(run.adopted()).toEqual([]);
    expect(run.state().phase.kind).toBe('committing');
  });

  test('does not count a vote without evidence', () => {
    const run = begin();
    const unsigned = { ...other, signatures: other.signatures.map(({ c0 }) => ({ c0, s: c0 })) };
    for (const index of [0, 1, 2, 3, 4]) run.votesFor(index, other, unsigned);
    for (let round = 0; round < 6; round++) run.round();
    expect(run.blamed()).toBe(5);
    expect(run.adopted()).toEqual([]);
  });

  test('of two others adopts the one that can be final', () => {
    const run = begin();
    for (const index of [0, 1]) run.votesFor(index, third);
    run.votesFor(2, other);
    expect(run.adopted()).toEqual([txidOf(third)]);
    // With three votes the other one is the only one that can be final.
    for (const index of [3, 4]) run.votesFor(index, other);
    expect(run.adopted()).toEqual([txidOf(third), txidOf(other)]);
    const split = begin();
    for (const index of [0, 1, 2]) split.votesFor(index, third);
    expect(split.adopted()).toEqual([txidOf(third)]);
    for (const index of [3, 4, 5]) split.votesFor(index, other);
    for (let round = 0; round < 6; round++) split.round();
    // Neither can be final: ours is sent again, and reports why it waits.
    expect(split.adopted()).toEqual([txidOf(third)]);
    split.votesFor(0, third);
    expect(split.waiting().at(-1)).toBe('conflict');
  });

  test('counts the first vote of an elder that signs two', () => {
    const run = begin();
    for (const index of [0, 1]) run.votesFor(index, third);
    for (const index of [0, 1]) run.votesFor(index, other);
    run.votesFor(2, other);
    expect(run.state().votes[0]?.size).toBe(3);
    expect(run.adopted()).toEqual([txidOf(third)]);
  });

  test('of two coins, one of them prepared, is not given up for another payment of both', () => {
    const coin = genesisKeyPair(seedOf('second coin'));
    const [mine, theirs] = [spend('ours', coin), spend('other', coin)];
    const bundle = { ...config.bundle, transaction: encodeTransaction(mine) };
    const certificate = { epoch: 0n, ballot: 0, signature: new Uint8Array(48), inclusion: null };
    const run = begin([{ kind: 'prepared', index: 0, certificate }], { ...config, bundle });
    for (const index of [0, 1, 2]) run.votesFor(index, theirs, theirs, 1);
    for (let round = 0; round < 6; round++) run.round();
    expect(run.state().votes[1]?.size).toBe(3);
    expect(run.adopted()).toEqual([]);
    // Without that certificate it goes first.
    const free = begin([], { ...config, bundle });
    for (const index of [0, 1, 2]) free.votesFor(index, theirs, theirs, 1);
    expect(free.adopted()).toEqual([txidOf(theirs)]);
  });

  test('starts anew under a new key, after the adopted one', () => {
    const run = begin();
    for (const index of [0, 1, 2]) run.votesFor(index, other);
    const next = makeSection(toySuite, toyScalars, toyName, 5);
    const section = { ...next.section, key: seedOf('next key'), epoch: 1n };
    const changed = onlyPaymentSection(section, toy.elders);
    run.sections(changed);
    expect(run.state().votes[0]?.size).toBe(0);
    const before = run.effects().filter(({ kind }) => kind === 'send').length;
    run.round();
    expect(run.effects().filter(({ kind }) => kind === 'send')).toHaveLength(before);
    run.round();
    expect(run.asked()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});
