/**
 * Goal: a certificate proves one statement of one section, and a registry entry proves one output.
 * Method: real BLS12-381 once for the signature, the toy suite for every altered statement.
 */
import { describe, expect, test } from 'vitest';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { blsScalars } from '#crypto/bls.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  decodeRegistryEntry,
  encodeRegistryEntry,
  openRegistryEntry,
  spendStatementBytes,
  verifySpendCertificate,
  verifySpendCertificates,
  verifyInputSource,
} from '#money/spend-certificate.ts';
import { encodeTransaction, txidOf } from '#money/transaction.ts';
import {
  addressFor,
  certify,
  genesis,
  genesisAmount,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from './fixtures.ts';

const transaction = buildTransaction({
  networkId,
  inputs: [
    { secret: genesis.secret.reveal(), oneTimeKey: genesis.oneTimeKey, amount: genesisAmount },
  ],
  outputs: [{ address: addressFor('alice'), amount: genesisAmount, memo: new Uint8Array() }],
  fee: 0n,
  recoveryKey: () => seedOf('recovery'),
  entropy: seedOf('entropy'),
});
if (transaction === undefined) throw new Error('a real address');
const toy = makeSection(toySuite, toyScalars, toyName);
const { section, known } = toy;
const certificates = certify(toy, toySuite, 'COMMIT', transaction);
const entry = { transaction: encodeTransaction(transaction), certificates, index: 0 };
const keyImage = transaction.inputs[0]?.keyImage ?? new Uint8Array();
const statement = { keyImage, ballot: 0, txid: txidOf(transaction) };
const [certificate] = certificates;
if (certificate === undefined) throw new Error('one input, one certificate');

describe('certificates', () => {
  test('MONEY-C1: phase, network, prefix, key, slot, ballot and txid are all signed', () => {
    const holds = (
      s = section,
      phase: 'PREPARE' | 'COMMIT' = 'COMMIT',
      claimed = statement,
    ): boolean =>
      verifySpendCertificate(s, toySuite, phase, claimed, {
        ...certificate,
        ballot: claimed.ballot,
      });
    expect(holds()).toBe(true);
    expect(holds(section, 'PREPARE')).toBe(false);
    expect(holds({ ...section, networkId: seedOf('other') })).toBe(false);
    for (const bit of [0, 1]) {
      const bits = new Uint8Array(32);
      bits[0] = bit << 7;
      expect(holds({ ...section, prefix: { bitCount: 1, bits } })).toBe(false);
    }
    expect(holds({ ...section, epoch: 1n })).toBe(false);
    expect(holds({ ...section, key: toySuite.publicKey(seedScalar()) })).toBe(false);
    expect(holds(section, 'COMMIT', { ...statement, ballot: 1 })).toBe(false);
    expect(holds(section, 'COMMIT', { ...statement, txid: seedOf('other') })).toBe(false);
    expect(holds(section, 'COMMIT', { ...statement, keyImage: seedOf('other') })).toBe(false);
  });

  test('exactly one certificate per input', () => {
    expect(verifySpendCertificates(known, toySuite, 'COMMIT', transaction, certificates).ok).toBe(
      true,
    );
    expect(verifySpendCertificates(known, toySuite, 'COMMIT', transaction, []).ok).toBe(false);
    const two = [...certificates, ...certificates];
    expect(verifySpendCertificates(known, toySuite, 'COMMIT', transaction, two).ok).toBe(false);
  });

  test('five real shares combine to a signature that verifies, four do not', () => {
    const real = makeSection(blsSuite, blsScalars, ed25519PublicKey);
    const message = spendStatementBytes(real.section, statement);
    const shares = [1, 3, 4, 6, 7].map((index) => ({
      index,
      signature: blsSuite.sign(
        real.elders[index - 1]?.secretShare ?? seedOf(''),
        'COMMIT',
        message,
      ),
    }));
    const combine = (count: number): boolean => {
      const signature = blsSuite.combine(shares.slice(0, count));
      if (signature === undefined) return false;
      return verifySpendCertificate(real.section, blsSuite, 'COMMIT', statement, {
        epoch: 0n,
        ballot: 0,
        signature,
        inclusion: null,
      });
    };
    expect(combine(5)).toBe(true);
    expect(combine(4)).toBe(false);
  });
});

describe('registry entries', () => {
  test('round-trip below 8 kB; cut and extended bytes are rejected', () => {
    const bytes = encodeRegistryEntry(entry);
    expect(decodeRegistryEntry(bytes)).toEqual({ ok: true, value: entry });
    expect(bytes.length).toBeLessThan(8192);
    expect(decodeRegistryEntry(bytes.slice(0, -1)).ok).toBe(false);
    expect(decodeRegistryEntry(new Uint8Array([...bytes, 0])).ok).toBe(false);
  });

  test('verify only with a commit certificate and an existing output', () => {
    expect(openRegistryEntry(known, toySuite, encodeRegistryEntry(entry)).ok).toBe(true);
    const prepared = { ...entry, certificates: certify(toy, toySuite, 'PREPARE', transaction) };
    expect(openRegistryEntry(known, toySuite, encodeRegistryEntry(prepared))).toEqual({
      ok: false,
      error: 'forgedCertificate',
    });
    expect(openRegistryEntry(known, toySuite, encodeRegistryEntry({ ...entry, index: 1 }))).toEqual(
      {
        ok: false,
        error: 'noSuchOutput',
      },
    );
    expect(
      verifyInputSource({ ...known, genesisOutput: null }, toySuite, { kind: 'genesis' }).ok,
    ).toBe(false);
  });
});

function seedScalar(): Uint8Array {
  return toyScalars.reduce(seedOf('scalar'));
}
