/**
 * Goal: a handover in one slot's section does not block a payment that another slot can no longer leave.
 * Method: a payment of two coins in two sections; the COMMIT job of one, after the other has handed over.
 */
import { expect, test } from 'vitest';
import { type Prefix } from '#address/prefix.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  spendStatementBytes,
  type SectionKey,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import {
  encodeTransaction,
  inputAt,
  slotName,
  txidOf,
  type Transaction,
} from '#money/transaction.ts';
import { genesisKeyPair } from '#money/wallet-keys.ts';
import { performSpentbookJob } from '#protocol/spentbook/index.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { addressFor, makeSection, networkId, seedOf, toyName } from './fixtures.ts';

const made = makeSection(toySuite, toyScalars, toyName);
const half = (first: 0 | 1): Prefix => ({
  bitCount: 1,
  bits: Uint8Array.from({ length: 32 }, (_, at) => (at === 0 && first === 1 ? 0x80 : 0)),
});
const { key } = made.section;
const own: SectionKey = { prefix: half(0), key, epoch: 3n };
const other: SectionKey = { prefix: half(1), key, epoch: 5n };

const isInOwn = (slot: Uint8Array): boolean => (slot[0] ?? 0) < 0x80;

/** Spends one coin of each half. */
function payOfTwo(): Transaction {
  for (let n = 0; n < 64; n++) {
    const inputs = [`a ${n}`, `b ${n}`].map((name) => {
      const pair = genesisKeyPair(seedOf(name));
      return { secret: pair.secret.reveal(), oneTimeKey: pair.oneTimeKey, amount: 100n };
    });
    const built = buildTransaction({
      networkId,
      inputs,
      outputs: [{ address: addressFor('alice'), amount: 200n, memo: new Uint8Array() }],
      fee: 0n,
      recoveryKey: () => seedOf('recovery'),
      entropy: seedOf('entropy'),
    });
    if (built === undefined) continue;
    if (new Set(built.inputs.map(({ keyImage }) => isInOwn(slotName(keyImage)))).size === 2) {
      return built;
    }
  }
  throw new Error('one coin in each half');
}

const transaction = payOfTwo();
const slot = transaction.inputs.map(({ keyImage }) => slotName(keyImage)).find(isInOwn);
if (slot === undefined) throw new Error('a slot of its own');
const isOwn = (keyImage: Uint8Array): boolean =>
  inputAt(transaction, slot)?.keyImage.every((byte, at) => byte === keyImage[at]) ?? false;

/** The COMMIT, with its own certificate of this ballot; the other section has handed over. */
function commitAt(ballot: number, isBound: boolean, known: SectionKeys, ownEpoch = own.epoch) {
  const prepared = transaction.inputs.map(({ keyImage }) => {
    const signer = isOwn(keyImage) ? { ...own, epoch: ownEpoch } : other;
    const statement = { keyImage, ballot: isOwn(keyImage) ? ballot : 0, txid: txidOf(transaction) };
    const bytes = spendStatementBytes({ ...signer, networkId }, statement);
    const signature = toySuite.sign(made.secret, 'PREPARE', bytes);
    return { epoch: signer.epoch, ballot: statement.ballot, signature, inclusion: null };
  });
  const section = { ...made.section, ...own };
  const secretShare = made.elders[0]?.secretShare ?? new Uint8Array();
  const bytes = encodeTransaction(transaction);
  return performSpentbookJob(
    {
      kind: 'commit',
      section,
      secretShare,
      slot: slot ?? bytes,
      transaction: bytes,
      prepared,
      known,
      isBound,
    },
    toySuite,
  );
}

const sealedRoot = seedOf('root');
const handedOver: SectionKeys = {
  networkId,
  genesisOutput: null,
  current: [own],
  superseded: [{ ...other, sealedRoot }],
};

test('SPENTBOOK-R2: a certificate of an ended epoch of another slot → counts above ballot 0 and in a bound slot', () => {
  expect(commitAt(0, false, handedOver)).toMatchObject({ kind: 'unproven', epoch: other.epoch });
  expect(commitAt(1, false, handedOver)).toMatchObject({ kind: 'shared', ballot: 1 });
  expect(commitAt(0, true, handedOver)).toMatchObject({ kind: 'shared', ballot: 0 });
});

test('SPENTBOOK-R2: the slot’s own certificate of an ended epoch → never counts', () => {
  const old = { ...own, epoch: 2n, sealedRoot };
  const known = { ...handedOver, superseded: [...handedOver.superseded, old] };
  expect(commitAt(1, false, known, old.epoch)).toEqual({ kind: 'refused', what: 'otherEpoch' });
});
