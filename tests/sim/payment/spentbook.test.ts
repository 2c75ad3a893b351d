/**
 * Goal: each rule of one slot, as a short script without a network.
 * Method: the slot machine and its jobs called directly; two spends of one coin.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { Context, Effect, Step } from '#core/machine.ts';
import { sectionKeyHash, spendStatementBytes } from '#money/spend-certificate.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import {
  isSpentbookAnswer,
  maxPendingPerSlot,
  placesForOwner,
  performSpentbookJob,
  spentbook,
  verifyPrepareVote,
  type Spentbook,
  type SpentbookAnswer,
  type SpentbookFact,
  type SpentbookRequest,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import { certify, seedOf, toyIdentity } from '../../unit/money/fixtures.ts';
import { toySuite } from '../toys/toy-suite.ts';
import { configOf, keyImage, slot, toBob, toCarol, toy } from './recovery-script.ts';

const [elder] = toy.elders;
if (elder === undefined) throw new Error('seven elders');
const config = configOf(elder);
const context: Context = { now: 0, entropy: new Uint8Array(32) };

const genesisSource = { kind: 'genesis' } as const;
const prepare = (transaction: Transaction, id = 1): SpentbookRequest => ({
  kind: 'prepare',
  request: new Uint8Array(16).fill(id),
  section: sectionKeyHash(toy.section.key),
  slot,
  transaction: encodeTransaction(transaction),
  sources: [{ kind: 'genesis' }],
  ballot: 0,
  recovery: null,
});
const commit = (transaction: Transaction): SpentbookRequest => ({
  kind: 'commit',
  request: new Uint8Array(16).fill(9),
  section: sectionKeyHash(toy.section.key),
  slot,
  transaction: encodeTransaction(transaction),
  prepared: certify(toy, toySuite, 'PREPARE', transaction),
});

/** One elder with a disk; jobs run immediately. */
function elderAt(facts: readonly SpentbookFact[] = []) {
  const disk = [...facts];
  let state: SpentbookState = spentbook.start(config, facts, context).state;
  const take = (step: Step<SpentbookState, Spentbook>): readonly Effect<Spentbook>[] => {
    state = step.state;
    for (const effect of step.effects) if (effect.kind === 'persist') disk.push(effect.fact);
    return step.effects.flatMap((effect) => {
      if (effect.kind !== 'compute') return [effect];
      const result = performSpentbookJob(effect.job, toySuite);
      return take(
        spentbook.step(config, state, { kind: 'computed', id: effect.id, result }, context),
      );
    });
  };
  const receive = (message: SpentbookRequest): readonly Effect<Spentbook>[] =>
    take(spentbook.step(config, state, { kind: 'received', from: 'client', message }, context));
  const answer = (message: SpentbookRequest): SpentbookAnswer => {
    const sent = receive(message).flatMap((effect) =>
      effect.kind === 'send' ? [effect.message] : [],
    );
    const [only] = sent;
    if (only === undefined || sent.length !== 1) throw new Error('one request, one answer');
    if (!isSpentbookAnswer(only)) throw new Error('elders answer');
    return only;
  };
  const settle = (transaction: Transaction): void => {
    const [certificate] = certify(toy, toySuite, 'COMMIT', transaction);
    if (certificate === undefined) throw new Error('one input');
    const decision = {
      slot,
      txid: txidOf(transaction),
      transaction: encodeTransaction(transaction),
      certificate,
    };
    take(
      spentbook.step(
        config,
        state,
        { kind: 'input', input: { kind: 'settle', decision } },
        context,
      ),
    );
  };
  return { receive, answer, settle, disk, restart: () => elderAt(disk) };
}

describe('spentbook', () => {
  test("SPENTBOOK-R1: a valid spend → this elder's share, after the vote is persisted", () => {
    const elderOne = elderAt();
    const effects = elderOne.receive(prepare(toBob));
    expect(effects.map(({ kind }) => kind)).toEqual(['persist', 'send']);
    const message = spendStatementBytes(toy.section, { keyImage, ballot: 0, txid: txidOf(toBob) });
    const [, sent] = effects;
    if (sent?.kind !== 'send' || sent.message.kind !== 'prepared') throw new Error('a share');
    expect(toySuite.verify(elder.publicShare, 'PREPARE', message, sent.message.share)).toBe(true);
  });

  test('SPENTBOOK-R1: the same bytes → the same share, also after a restart', () => {
    const elderOne = elderAt();
    const once = elderOne.answer(prepare(toBob));
    expect(elderOne.answer(prepare(toBob))).toEqual(once);
    expect(elderOne.restart().answer(prepare(toBob))).toEqual(once);
  });

  test('SPENTBOOK-R1: another spend of the coin → a signed vote and the bytes of the winner', () => {
    const elderOne = elderAt();
    elderOne.answer(prepare(toBob));
    const answer = elderOne.restart().answer(prepare(toCarol));
    if (answer.kind !== 'conflict') throw new Error(answer.kind);
    expect(toHex(answer.vote.txid)).toBe(toHex(txidOf(toBob)));
    expect(answer.transaction).toEqual(encodeTransaction(toBob));
    expect(verifyPrepareVote(toy.section, toyIdentity, keyImage, answer.vote)).toBe(true);
    const moved = { ...answer.vote, txid: txidOf(toCarol) };
    expect(verifyPrepareVote(toy.section, toyIdentity, keyImage, moved)).toBe(false);
  });

  test('SPENTBOOK-R1: an invalid spend → refused, and its sender blamed', () => {
    const effects = elderAt().receive({
      ...prepare(toBob),
      sources: [genesisSource, genesisSource],
    } as SpentbookRequest);
    expect(effects.map(({ kind }) => kind)).toEqual(['blame', 'send']);
    const other = { ...prepare(toBob), slot: seedOf('other') } as SpentbookRequest;
    expect(elderAt().answer(other)).toMatchObject({ kind: 'malformed', what: 'otherSlot' });
  });

  test('SPENTBOOK-R2: PREPARE certificates for another spend → COMMIT despite our vote, also after a restart', () => {
    const elderOne = elderAt();
    elderOne.answer(prepare(toCarol));
    const once = elderOne.answer(commit(toBob));
    expect(once.kind).toBe('committed');
    expect(elderOne.restart().answer(commit(toBob))).toEqual(once);
    // Its vote stays: two signed votes for one ballot would prove equivocation.
    expect(elderOne.answer(prepare(toCarol)).kind).toBe('prepared');
    expect(elderOne.answer(prepare(toBob)).kind).toBe('conflict');
  });

  test('SPENTBOOK-R2: an elder with PREPARE certificates but no vote → votes only for their transaction', () => {
    const elderOne = elderAt();
    elderOne.answer(commit(toBob));
    expect(elderOne.answer(prepare(toCarol)).kind).toBe('conflict');
    expect(elderOne.answer(prepare(toBob)).kind).toBe('prepared');
  });

  test('SPENTBOOK-R2: COMMIT needs PREPARE certificates of this txid for every input', () => {
    const wrong = (prepared: ReturnType<typeof certify>): string =>
      elderAt().answer({ ...commit(toBob), prepared } as SpentbookRequest).kind;
    expect(wrong(certify(toy, toySuite, 'PREPARE', toCarol))).toBe('malformed');
    expect(wrong(certify(toy, toySuite, 'COMMIT', toBob))).toBe('malformed');
    expect(wrong([])).toBe('malformed');
  });

  test('SPENTBOOK-R7: after a decision → the certificate, for winner and loser', () => {
    const elderOne = elderAt();
    elderOne.answer(prepare(toCarol));
    elderOne.settle(toBob);
    elderOne.settle(toCarol); // Too late: finality is monotone.
    for (const request of [prepare(toCarol), prepare(toBob), commit(toCarol)]) {
      const answer = elderOne.restart().answer(request);
      if (answer.kind !== 'spent') throw new Error(answer.kind);
      expect(answer.transaction).toEqual(encodeTransaction(toBob));
    }
  });

  test('a slot checks few requests at a time, and the same request once', () => {
    const open = maxPendingPerSlot - placesForOwner;
    let state = spentbook.start(config, [], context).state;
    const kinds: string[] = [];
    for (let id = 0; id <= maxPendingPerSlot; id++) {
      for (let copy = 0; copy < 2; copy++) {
        const message = prepare(toBob, id);
        const step = spentbook.step(
          config,
          state,
          { kind: 'received', from: 'client', message },
          context,
        );
        state = step.state;
        for (const effect of step.effects) {
          kinds.push(effect.kind === 'send' ? effect.message.kind : effect.kind);
        }
      }
    }
    expect(kinds).toEqual([
      ...Array.from({ length: open }, () => 'compute'),
      ...Array.from({ length: 2 * (placesForOwner + 1) }, () => 'busy'),
    ]);
  });
});
