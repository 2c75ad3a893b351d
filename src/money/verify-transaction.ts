/** The validity rule of transactions. */
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { decodePoint } from '#crypto/ristretto.ts';
import { verifyInput } from './ring-signature.ts';
import {
  decodeTransaction,
  transactionHash,
  type Transaction,
  type TransactionInput,
} from './transaction.ts';

export type TransactionProblem =
  | 'malformed'
  | 'unsupportedVersion'
  | 'wrongNetwork'
  | 'inputsNotSorted'
  | 'outputsNotSorted'
  | 'badPoint'
  | 'zeroAmount'
  | 'unbalanced'
  | 'repeatedInput'
  | 'unknownInput'
  | 'amountMismatch'
  | 'badSignature';

/**
 * The proven amount of the output an input spends, or undefined without a proof. `certified`: the
 * transaction comes with commit certificates, whose signers resolved the inputs.
 */
export type ResolveInput =
  ((input: TransactionInput, index: number) => bigint | undefined) | 'certified';

/**
 * Is this a transaction of this network, signed by the owners of its coins, that creates no money?
 * Cheap checks come first (MONEY-T2).
 */
export function verifyTransaction(
  bytes: Uint8Array,
  networkId: Uint8Array,
  resolveInput: ResolveInput,
): Result<Transaction, TransactionProblem> {
  const decoded = decodeTransaction(bytes);
  if (!decoded.ok) return decoded;
  const transaction = decoded.value;
  const { inputs, outputs, fee } = transaction;
  if (!equalBytes(transaction.networkId, networkId)) return err('wrongNetwork');
  // Strictly ascending: no coin is spent twice in one transaction, no one-time key created twice.
  if (!ascending(inputs.map(({ keyImage }) => keyImage))) return err('inputsNotSorted');
  if (!ascending(outputs.map(({ oneTimeKey }) => oneTimeKey))) return err('outputsNotSorted');
  if ([...inputs, ...outputs].some(({ amount }) => amount === 0n)) return err('zeroAmount');
  // Σ in = Σ out + fee, in ℕ: bigint sums of at most 17 values below 2⁶⁴ cannot wrap.
  const spent = sum(inputs);
  if (spent >= 1n << 64n || spent !== sum(outputs) + fee) return err('unbalanced');
  // One key has one key image, so a repeated key is invalid without computing any.
  if (repeated(inputs.map(({ oneTimeKey }) => oneTimeKey))) return err('repeatedInput');
  if (outputs.some(({ oneTimeKey }) => decodePoint(oneTimeKey) === undefined))
    return err('badPoint');
  // A signature costs a fraction of resolving an input, which takes up to eight pairings.
  if (!verifyInputSignatures(transaction)) return err('badSignature');
  if (resolveInput !== 'certified') {
    for (const [index, input] of inputs.entries()) {
      const amount = resolveInput(input, index);
      if (amount === undefined) return err('unknownInput');
      if (amount !== input.amount) return err('amountMismatch');
    }
  }
  return ok(transaction);
}

/** Did the owner of every input sign exactly this body? */
export function verifyInputSignatures(transaction: Transaction): boolean {
  if (transaction.signatures.length !== transaction.inputs.length) return false;
  const hash = transactionHash(transaction);
  return transaction.inputs.every((input, index) => {
    const signature = transaction.signatures[index];
    return signature !== undefined && verifyInput(input, hash, signature);
  });
}

const sum = (parts: readonly { readonly amount: bigint }[]): bigint =>
  parts.reduce((total, { amount }) => total + amount, 0n);

const repeated = (keys: readonly Uint8Array[]): boolean =>
  new Set(keys.map(toHex)).size < keys.length;

const ascending = (keys: readonly Uint8Array[]): boolean =>
  keys.every((key, i) => {
    const before = keys[i - 1];
    return before === undefined || compareBytes(before, key) < 0;
  });
