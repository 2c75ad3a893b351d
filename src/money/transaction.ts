/**
 * Transactions: inputs, outputs, one fixed layout. Amounts are public and rings hold one key for
 * now; hidden amounts and rings of 16 will replace both behind `verifyTransaction` and the slots.
 *
 * There is no slot generation on the wire yet (SPENTBOOK-R5 is off, it is always 0).
 */
import { Reader, Writer, concat, equalBytes } from '#core/codec/bytes.ts';
import { assert } from '#core/assert.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';

export const TRANSACTION_VERSION = 1;
/** Each input costs every elder a signature check, each output a registry entry (MONEY-T1). */
export const maxInputs = 8;
export const maxOutputs = 16;

export const KEY_BYTES = 32;
export const VIEW_TAG_BYTES = 3;
export const ANCHOR_BYTES = 16;
export const maxMemoBytes = 64;
/** Every memo box has this size, so that it does not distinguish a payment from change. */
export const MEMO_BOX_BYTES = 1 + maxMemoBytes + 16;
const outputBytes = KEY_BYTES + 8 + KEY_BYTES + VIEW_TAG_BYTES + ANCHOR_BYTES + MEMO_BOX_BYTES;
/** Version, network, 8 inputs with signatures, 16 outputs, fee, recovery key. */
export const maxTransactionBytes =
  1 +
  32 +
  1 +
  maxInputs * (2 * KEY_BYTES + 8) +
  1 +
  maxOutputs * outputBytes +
  8 +
  32 +
  maxInputs * 64;

export interface TransactionInput {
  /** I = p·Hp(P): it determines the slot, so that one coin has one slot in any transaction. */
  readonly keyImage: Uint8Array;
  /** P, the only member of the ring for now. */
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
}

export interface TransactionOutput {
  /** P, ristretto255. */
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  /** D_e, X25519. */
  readonly ephemeralKey: Uint8Array;
  readonly viewTag: Uint8Array;
  /** The anchor, encrypted: lets the recipient re-derive D_e. */
  readonly anchorBox: Uint8Array;
  readonly memoBox: Uint8Array;
}

/** All signed fields. */
export interface TransactionBody {
  readonly networkId: Uint8Array;
  /** Strictly ascending by key image. */
  readonly inputs: readonly TransactionInput[];
  /** Strictly ascending by one-time key, which hides the position of the change. */
  readonly outputs: readonly TransactionOutput[];
  /** Public, may be 0. */
  readonly fee: bigint;
  /** Ed25519, of this spend alone: authorises recovery (SPENTBOOK-R3). */
  readonly recoveryKey: Uint8Array;
}

/** c₀ and s of a CLSAG whose ring has one member; scalars, 32 bytes little-endian. */
export interface InputSignature {
  readonly c0: Uint8Array;
  readonly s: Uint8Array;
}

export interface Transaction extends TransactionBody {
  /** One per input, in order; not part of the txid, so signing again keeps the txid. */
  readonly signatures: readonly InputSignature[];
}

/** m, 32 bytes: the hash that input signatures sign. */
export const transactionHash = (body: TransactionBody): Uint8Array =>
  labelledHash('safe/v1/transaction', encodeBody(body));

/** The transaction's id, 32 bytes; signatures excluded. */
export const txidOf = (body: TransactionBody): Uint8Array =>
  labelledHash('safe/v1/txid', transactionHash(body));

/** The generation of every slot until SPENTBOOK-R5 is switched on. */
export const SLOT_GENERATION = 0n;

/** The slot that records a coin's spend: 32 bytes, an address in the network. */
export const slotName = (keyImage: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/slot', keyImage, new Writer().u64(SLOT_GENERATION).finish());

/** ctx: binds outputs to the spent inputs, so that no two transactions share a one-time key. */
export const inputContext = (keyImages: readonly Uint8Array[]): Uint8Array =>
  labelledHash(
    'safe/v1/input-context',
    ...keyImages.map((keyImage) => concat(keyImage, new Writer().u64(SLOT_GENERATION).finish())),
  );

export const contextOf = (body: TransactionBody): Uint8Array =>
  inputContext(body.inputs.map(({ keyImage }) => keyImage));

export function encodeBody(body: TransactionBody): Uint8Array {
  assert(body.inputs.length >= 1 && body.inputs.length <= maxInputs, 'inputs within limits');
  assert(body.outputs.length >= 1 && body.outputs.length <= maxOutputs, 'outputs within limits');
  const writer = new Writer().u8(TRANSACTION_VERSION).fixed(body.networkId, 32);
  writer.u8(body.inputs.length);
  for (const { keyImage, oneTimeKey, amount } of body.inputs) {
    writer.fixed(keyImage, KEY_BYTES).fixed(oneTimeKey, KEY_BYTES).u64(amount);
  }
  writer.u8(body.outputs.length);
  for (const output of body.outputs) {
    writer
      .fixed(output.oneTimeKey, KEY_BYTES)
      .u64(output.amount)
      .fixed(output.ephemeralKey, KEY_BYTES)
      .fixed(output.viewTag, VIEW_TAG_BYTES)
      .fixed(output.anchorBox, ANCHOR_BYTES)
      .fixed(output.memoBox, MEMO_BOX_BYTES);
  }
  return writer.u64(body.fee).fixed(body.recoveryKey, 32).finish();
}

export function encodeTransaction(transaction: Transaction): Uint8Array {
  assert(
    transaction.signatures.length === transaction.inputs.length,
    'as many signatures as inputs',
  );
  const writer = new Writer();
  for (const { c0, s } of transaction.signatures) writer.fixed(c0, 32).fixed(s, 32);
  return concat(encodeBody(transaction), writer.finish());
}

/**
 * Checks the layout only: sizes, counts, version. `verifyTransaction` decides validity.
 * @returns a value that encodes to exactly these bytes.
 */
export function decodeTransaction(
  bytes: Uint8Array,
): Result<Transaction, 'malformed' | 'unsupportedVersion'> {
  if (bytes.length > maxTransactionBytes) return err('malformed');
  const reader = new Reader(bytes);
  if (reader.u8() !== TRANSACTION_VERSION) return err('unsupportedVersion');
  const networkId = reader.fixed(32);
  const inputCount = reader.u8();
  if (inputCount < 1 || inputCount > maxInputs) return err('malformed');
  const inputs = times(inputCount, () => ({
    keyImage: reader.fixed(KEY_BYTES),
    oneTimeKey: reader.fixed(KEY_BYTES),
    amount: reader.u64(),
  }));
  const outputCount = reader.u8();
  if (outputCount < 1 || outputCount > maxOutputs) return err('malformed');
  const outputs = times(outputCount, () => ({
    oneTimeKey: reader.fixed(KEY_BYTES),
    amount: reader.u64(),
    ephemeralKey: reader.fixed(KEY_BYTES),
    viewTag: reader.fixed(VIEW_TAG_BYTES),
    anchorBox: reader.fixed(ANCHOR_BYTES),
    memoBox: reader.fixed(MEMO_BOX_BYTES),
  }));
  const fee = reader.u64();
  const recoveryKey = reader.fixed(32);
  const signatures = times(inputCount, () => ({ c0: reader.fixed(32), s: reader.fixed(32) }));
  if (!reader.finish()) return err('malformed');
  return ok({ networkId, inputs, outputs, fee, recoveryKey, signatures });
}

/** The input that spends the coin of this slot. */
export const inputAt = (
  transaction: TransactionBody,
  slot: Uint8Array,
): TransactionInput | undefined =>
  transaction.inputs.find(({ keyImage }) => equalBytes(slotName(keyImage), slot));

const times = <T>(count: number, make: () => T): readonly T[] =>
  Array.from({ length: count }, make);
