/**
 * Goal: the checkers of payment.test.ts notice when any one rule is missing.
 * Method: one bug planted at a time into an otherwise correct network; some seed must fail, and for
 * the right reason. The same seeds pass without the bug (payment.test.ts).
 */
import { describe, expect, test, vi } from 'vitest';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Effect } from '#core/machine.ts';
import {
  spendStatementBytes,
  verifySpendCertificates,
  verifyInputSource,
} from '#money/spend-certificate.ts';
import { decodeTransaction, inputAt, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyInputSignatures, verifyTransaction } from '#money/verify-transaction.ts';
import { mint, performMintJob } from '#protocol/mint/index.ts';
import { performSpentbookJob, spentbook } from '#protocol/spentbook/index.ts';
import { createCompute, honestParts, type Net, type Parts } from './payment-net.ts';
import { runPaymentSeed, toyPaymentSetup } from './payment-check.ts';

vi.setConfig({ testTimeout: 120_000 });
const stage = toyPaymentSetup();

interface Mutant {
  readonly name: string;
  readonly parts: Partial<Parts>;
  /** The bug has no effect without these actors. */
  readonly cast: readonly string[];
  readonly found: RegExp;
}

const mutants: readonly Mutant[] = [
  {
    name: 'SPENTBOOK-R1: a share is sent before the vote is on disk',
    parts: {
      reorder: (effects) => {
        const isSend = (effect: Effect<Net>): boolean => effect.kind === 'send';
        return [...effects.filter(isSend), ...effects.filter((effect) => !isSend(effect))];
      },
    },
    cast: ['alice-phone'],
    found: /voteOnce/,
  },
  {
    name: 'SPENTBOOK-R1: a later vote overwrites the earlier one',
    parts: {
      spentbook: {
        ...spentbook,
        step: (config, state, event, context) => {
          const forgets = event.kind !== 'input' && state.row.bundle === null;
          const row = forgets ? { ...state.row, vote: null } : state.row;
          const lostState = { ...state, row };
          return spentbook.step(config, lostState, event, context);
        },
      },
    },
    cast: ['alice-phone'],
    found: /voteOnce/,
  },
  {
    name: 'MINT-M1: a PREPARE certificate is accepted as COMMIT',
    parts: {
      mintJob: (job, suite) => {
        const result = performMintJob(job, suite);
        const decoded = decodeTransaction(job.entry.transaction);
        if (result.kind === 'verified' || !decoded.ok) return result;
        const { known, entry } = job;
        return verifySpendCertificates(known, suite, 'PREPARE', decoded.value, entry.certificates)
          .ok
          ? { kind: 'verified', txid: txidOf(decoded.value) }
          : result;
      },
    },
    cast: ['mallory-unfinal'],
    found: /registeredIsFinal/,
  },
  {
    name: 'SPENTBOOK-R1: input signatures are not checked',
    parts: { spentbookJob: lax((transaction) => !verifyInputSignatures(transaction)) },
    cast: ['mallory-steals'],
    found: /validity: mallory-steals/,
  },
  {
    name: 'SPENTBOOK-R1: conservation is not checked',
    parts: {
      spentbookJob: lax(
        (transaction, problem) => problem === 'unbalanced' && verifyInputSignatures(transaction),
      ),
    },
    cast: ['mallory-inflates'],
    found: /validity: mallory-inflates|supplyConserved/,
  },
  {
    name: 'SPENTBOOK-R1: the amount of an input is not compared with its source',
    parts: {
      spentbookJob: lax((_transaction, problem) => problem === 'amountMismatch'),
    },
    cast: ['mallory-lies'],
    found: /validity: mallory-lies|supplyConserved/,
  },
  {
    name: 'MINT-M2: a second transaction for a one-time key is accepted',
    parts: {
      mint: {
        ...mint,
        step: (config, state, event, context) =>
          mint.step(config, { ...state, record: { kind: 'unknown' } }, event, context),
      },
    },
    cast: ['mallory-twin-a'],
    found: /oneTransactionPerKey/,
  },
];

describe('planted bugs', () => {
  test.each(mutants)('$name → found', ({ parts, cast, found }) => {
    const whole: Parts = { ...honestParts, ...parts };
    const compute = createCompute(whole, stage.suite);
    let reason = '';
    for (let seed = 1; seed <= 60 && reason === ''; seed++) {
      try {
        runPaymentSeed(stage, seed, whole, compute, cast, 0);
      } catch (cause) {
        reason = String(cause);
      }
    }
    expect(reason).toMatch(found);
  });

  test('the same casts without a bug → nothing found', () => {
    const compute = createCompute(honestParts, stage.suite);
    for (const { cast } of mutants) {
      for (let seed = 1; seed <= 3; seed++)
        runPaymentSeed(stage, seed, honestParts, compute, cast, 0);
    }
  });
});

/** The PREPARE job of an elder that tolerates one kind of problem. */
function lax(
  forgives: (transaction: Transaction, problem: string) => boolean,
): Parts['spentbookJob'] {
  return (job, suite) => {
    const result = performSpentbookJob(job, suite);
    const decoded = decodeTransaction(job.transaction);
    if (result.kind === 'shared' || job.kind === 'recover' || !decoded.ok) return result;
    if (job.kind === 'commit') {
      const own = inputAt(decoded.value, job.slot);
      const problem = result.kind === 'refused' ? result.what : '';
      if (own === undefined || problem !== 'badSignature') return result;
      if (!forgives(decoded.value, problem)) return result;
      const statement = { keyImage: own.keyImage, ballot: 0, txid: txidOf(decoded.value) };
      const share = suite.sign(
        job.secretShare,
        'COMMIT',
        spendStatementBytes(job.section, statement),
      );
      return { kind: 'shared', ballot: 0, txid: statement.txid, share };
    }
    const proven = verifyTransaction(job.transaction, job.section.networkId, (input, index) => {
      const source = job.sources[index];
      const known = source && verifyInputSource(job.known, suite, source);
      return known?.ok && equalBytes(known.value.oneTimeKey, input.oneTimeKey)
        ? known.value.amount
        : undefined;
    });
    const input = inputAt(decoded.value, job.slot);
    if (proven.ok || input === undefined) return result;
    if (!forgives(decoded.value, proven.error)) return result;
    const txid = txidOf(decoded.value);
    const statement = { keyImage: input.keyImage, ballot: job.ballot, txid };
    const share = suite.sign(
      job.secretShare,
      'PREPARE',
      spendStatementBytes(job.section, statement),
    );
    return { kind: 'shared', ballot: job.ballot, txid, share };
  };
}
