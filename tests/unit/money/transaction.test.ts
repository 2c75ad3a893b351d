/**
 * Goal: `verifyTransaction` accepts exactly transactions that owners signed and that create no
 * money.
 * Method: one valid transaction; every rule broken once, every bit flipped, every size cut.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildTransaction } from '#money/build-transaction.ts';
import { signInput, verifyInput } from '#money/ring-signature.ts';
import { keyImageOfSecret, openOutput, oneTimeSecret } from '#money/one-time-outputs.ts';
import {
  contextOf,
  decodeTransaction,
  encodeTransaction,
  slotName,
  transactionHash,
  txidOf,
  type Transaction,
} from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify-transaction.ts';
import { publicPoint } from '#crypto/ristretto.ts';
import { compareBytes, concat, toHex, utf8 } from '#core/codec/bytes.ts';
import { addressFor, genesis, genesisAmount, keysOf, networkId, seedOf } from './fixtures.ts';

const input = {
  secret: genesis.secret.reveal(),
  oneTimeKey: genesis.oneTimeKey,
  amount: genesisAmount,
};
const resolve = (): bigint => genesisAmount;

function pay(change: Partial<Parameters<typeof buildTransaction>[0]> = {}): Transaction {
  const built = buildTransaction({
    networkId,
    inputs: [input],
    outputs: [
      { address: addressFor('alice'), amount: 600n, memo: utf8('rent') },
      { address: addressFor('faucet'), amount: genesisAmount - 601n, memo: new Uint8Array() },
    ],
    fee: 1n,
    recoveryKey: () => seedOf('recovery'),
    entropy: seedOf('entropy'),
    ...change,
  });
  if (built === undefined) throw new Error('the fixture pays to real addresses');
  return built;
}

const valid = pay();
const sign = (body: Transaction): Transaction => ({
  ...body,
  signatures: body.inputs.map((each) =>
    signInput(input.secret, each, transactionHash(body), seedOf('nonce')),
  ),
});
const problemOf = (transaction: Transaction, amount = resolve): string => {
  const result = verifyTransaction(encodeTransaction(transaction), networkId, amount);
  return result.ok ? 'valid' : result.error;
};

describe('verifyTransaction', () => {
  test('accepts a signed, balanced transaction', () => {
    expect(problemOf(valid)).toBe('valid');
  });

  test('refuses outputs above inputs, even when the owner signed', () => {
    const [first, ...rest] = valid.outputs;
    if (first === undefined) throw new Error('two outputs');
    const more = sign({ ...valid, outputs: [{ ...first, amount: first.amount + 1n }, ...rest] });
    expect(problemOf(more)).toBe('unbalanced');
    const wrapped = sign({ ...valid, outputs: [{ ...first, amount: 2n ** 64n - 1n }, ...rest] });
    expect(problemOf(wrapped)).toBe('unbalanced');
    expect(problemOf(sign({ ...valid, fee: 0n }))).toBe('unbalanced');
  });

  test('refuses an input without proof, or with a proof of another amount', () => {
    expect(verifyTransaction(encodeTransaction(valid), networkId, () => undefined)).toEqual({
      ok: false,
      error: 'unknownInput',
    });
    expect(problemOf(valid, () => genesisAmount - 1n)).toBe('amountMismatch');
  });

  test('refuses another network, unsorted or repeated inputs and outputs, and zero amounts', () => {
    expect(problemOf(sign({ ...valid, networkId: seedOf('other') }))).toBe('wrongNetwork');
    expect(problemOf(sign({ ...valid, outputs: [...valid.outputs].reverse() }))).toBe(
      'outputsNotSorted',
    );
    const twice = sign({ ...valid, inputs: [...valid.inputs, ...valid.inputs] });
    expect(problemOf(twice)).toBe('inputsNotSorted');
    const [first] = valid.outputs;
    if (first === undefined) throw new Error('two outputs');
    expect(problemOf(sign({ ...valid, outputs: [first, first] }))).toBe('outputsNotSorted');
    expect(
      problemOf(sign({ ...valid, inputs: valid.inputs.map((each) => ({ ...each, amount: 0n })) })),
    ).toBe('zeroAmount');
  });

  test('refuses a key image that is not p·Hp(P): one coin has one slot', () => {
    const other = keyImageOfSecret(seedOfScalar('other'), genesis.oneTimeKey, seedOf('blind'));
    const forged = sign({
      ...valid,
      inputs: valid.inputs.map((each) => ({ ...each, keyImage: other })),
    });
    expect(problemOf(forged)).toBe('badSignature');
    const identity = valid.inputs.map((each) => ({ ...each, keyImage: new Uint8Array(32) }));
    expect(problemOf(sign({ ...valid, inputs: identity }))).toBe('badSignature');
  });

  test('refuses every flipped bit', () => {
    const bytes = encodeTransaction(valid);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
        const changed = bytes.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return !verifyTransaction(changed, networkId, resolve).ok;
      }),
      { numRuns: 150 },
    );
  });

  test('signing again keeps the txid; changing anything else does not', () => {
    const again = sign(valid);
    expect(toHex(encodeTransaction(again))).not.toBe(toHex(encodeTransaction(valid)));
    expect(txidOf(again)).toEqual(txidOf(valid));
    expect(txidOf({ ...valid, fee: 2n })).not.toEqual(txidOf(valid));
  });
});

describe('codec', () => {
  test('decode inverts encode, and every cut or extended form is rejected', () => {
    const bytes = encodeTransaction(valid);
    const decoded = decodeTransaction(bytes);
    expect(decoded.ok && decoded.value).toEqual(valid);
    for (let length = 0; length < bytes.length; length += 7) {
      expect(decodeTransaction(bytes.slice(0, length)).ok).toBe(false);
    }
    expect(decodeTransaction(concat(bytes, Uint8Array.of(0))).ok).toBe(false);
  });

  test('random bytes never throw, and decoded bytes re-encode identically', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (noise, versioned) => {
        const bytes = versioned ? concat(Uint8Array.of(1), noise) : noise;
        const decoded = decodeTransaction(bytes);
        return !decoded.ok || toHex(encodeTransaction(decoded.value)) === toHex(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

describe('stealth outputs', () => {
  const alice = keysOf('alice');
  const context = contextOf(valid);
  const hers = valid.outputs.find((output) => openOutput(alice, output, context));

  test('the recipient finds only her output, reads the memo, and can spend it', () => {
    if (hers === undefined) throw new Error('one output is hers');
    const opened = openOutput(alice, hers, context);
    if (opened === undefined) throw new Error('it opens');
    expect(new TextDecoder().decode(opened.memo)).toBe('rent');
    const secret = oneTimeSecret(alice, opened.tweak);
    const keyImage = keyImageOfSecret(secret, hers.oneTimeKey, seedOf('blind'));
    const signature = signInput(
      secret,
      { oneTimeKey: hers.oneTimeKey, keyImage },
      seedOf('m'),
      seedOf('r'),
    );
    expect(verifyInput({ oneTimeKey: hers.oneTimeKey, keyImage }, seedOf('m'), signature)).toBe(
      true,
    );
    expect(valid.outputs.filter((output) => openOutput(keysOf('bob'), output, context))).toEqual(
      [],
    );
  });

  test('MONEY-O1: the same payment from other inputs makes another one-time key (no burning bug)', () => {
    if (hers === undefined) throw new Error('one output is hers');
    expect(openOutput(alice, hers, seedOf('other context'))).toBeUndefined();
  });

  test('MONEY-O1: a changed amount, anchor, ephemeral key or memo is not received', () => {
    if (hers === undefined) throw new Error('one output is hers');
    const flip = (bytes: Uint8Array): Uint8Array =>
      bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte));
    for (const changed of [
      { ...hers, amount: hers.amount + 1n },
      { ...hers, anchorBox: flip(hers.anchorBox) },
      { ...hers, ephemeralKey: flip(hers.ephemeralKey) },
      { ...hers, memoBox: flip(hers.memoBox) },
      { ...hers, oneTimeKey: flip(hers.oneTimeKey) },
    ]) {
      expect(openOutput(alice, changed, context)).toBeUndefined();
    }
  });

  test('a key image does not depend on the blind', () => {
    const one = keyImageOfSecret(input.secret, input.oneTimeKey, seedOf('a'));
    expect(keyImageOfSecret(input.secret, input.oneTimeKey, seedOf('b'))).toEqual(one);
    expect(compareBytes(slotName(one), slotName(one))).toBe(0);
  });

  test('constant randomness never repeats a nonce (hedged)', () => {
    const key = {
      oneTimeKey: input.oneTimeKey,
      keyImage: valid.inputs[0]?.keyImage ?? new Uint8Array(),
    };
    const one = signInput(input.secret, key, seedOf('m1'), new Uint8Array(32));
    const two = signInput(input.secret, key, seedOf('m2'), new Uint8Array(32));
    expect(toHex(one.c0)).not.toBe(toHex(two.c0));
    expect(verifyInput(key, seedOf('m2'), one)).toBe(false);
    expect(toHex(publicPoint(1n))).toBe(
      'e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76', // RFC 9496, A.1: B[1]
    );
  });
});

function seedOfScalar(name: string): Uint8Array {
  const bytes = seedOf(name).slice();
  bytes[31] = 0;
  return bytes;
}
