/**
 * One-time outputs (MONEY-O1, after Carrot), with public amounts.
 *
 *   d_e = H(anchor, ctx, K_s, K_v)      D_e = X25519(d_e, 9)     z = X25519(d_e, K_v)
 *   σ = H(z, D_e, ctx)                  k_o = Hs(σ, a)           P = K_s + k_o·G,  p = k_s + k_o
 *
 * ctx binds an output to the inputs spent for it, so P is unique without a record of used keys (no
 * burning bug). Differs from Carrot: the index `o` of an output is not hashed, because outputs are
 * sorted by P, which would depend on it; the fresh anchor distinguishes outputs.
 */
import { assert } from '#core/assert.ts';
import { Writer, concat, equalBytes } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { AEAD_TAG_BYTES, decryptOnce, encryptOnce } from '#crypto/one-time-aead.ts';
import {
  G,
  decodePoint,
  decodeScalar,
  encodeScalar,
  hashToScalar,
  keyImageOf,
  modOrder,
} from '#crypto/ristretto.ts';
import { x25519PublicKey, x25519Shared } from '#crypto/x25519.ts';
import type { Address } from './wallet-address.ts';
import type { ViewKeys, WalletKeys } from './wallet-keys.ts';
import {
  ANCHOR_BYTES,
  MEMO_BOX_BYTES,
  VIEW_TAG_BYTES,
  maxMemoBytes,
  type TransactionOutput,
} from './transaction.ts';

export interface OutputPlan {
  readonly address: Address;
  readonly amount: bigint;
  /** At most 64 bytes, readable only by the recipient. */
  readonly memo: Uint8Array;
  /** 16 fresh bytes. */
  readonly anchor: Uint8Array;
}

/** @returns undefined when the address contains a low-order or invalid key. */
export function createOutput(plan: OutputPlan, context: Uint8Array): TransactionOutput | undefined {
  assert(plan.memo.length <= maxMemoBytes, 'a memo has at most 64 bytes');
  assert(plan.anchor.length === ANCHOR_BYTES, 'an anchor has 16 bytes');
  const ephemeralSecret = ephemeral(plan.anchor, context, plan.address);
  const ephemeralKey = x25519PublicKey(ephemeralSecret);
  const z = x25519Shared(ephemeralSecret, plan.address.viewKey);
  const K_s = decodePoint(plan.address.spendKey);
  if (z === undefined || K_s === undefined) return undefined;
  const sigma = sharedSecret(z, ephemeralKey, context);
  const oneTimeKey = K_s.add(G.multiply(tweakOf(sigma, plan.amount))).toBytes();
  const padded = concat(
    Uint8Array.of(plan.memo.length),
    plan.memo,
    new Uint8Array(maxMemoBytes - plan.memo.length),
  );
  return {
    oneTimeKey,
    amount: plan.amount,
    ephemeralKey,
    viewTag: viewTagOf(z, context, oneTimeKey),
    anchorBox: xor(plan.anchor, anchorMask(sigma, oneTimeKey)),
    memoBox: encryptOnce(memoKey(sigma, oneTimeKey), memoAad(oneTimeKey, plan.amount), padded),
  };
}

/** What the view keys reveal of the owner's output. */
export interface OpenedOutput {
  /** k_o, 32 bytes little-endian. */
  readonly tweak: Uint8Array;
  readonly memo: Uint8Array;
}

/**
 * Every check of MONEY-O1 is required: view tag, P, and D_e re-derived from the decrypted anchor.
 * @returns undefined when the output belongs to another wallet or is malformed.
 */
export function openOutput(
  keys: ViewKeys,
  output: TransactionOutput,
  context: Uint8Array,
): OpenedOutput | undefined {
  const z = x25519Shared(keys.viewSecret.reveal(), output.ephemeralKey);
  if (z === undefined) return undefined;
  if (!equalBytes(viewTagOf(z, context, output.oneTimeKey), output.viewTag)) return undefined;
  const sigma = sharedSecret(z, output.ephemeralKey, context);
  const tweak = tweakOf(sigma, output.amount);
  const K_s = decodePoint(keys.spendKey);
  assert(K_s !== undefined, 'our own spend key is a point');
  if (!equalBytes(K_s.add(G.multiply(tweak)).toBytes(), output.oneTimeKey)) return undefined;
  const anchor = xor(output.anchorBox, anchorMask(sigma, output.oneTimeKey));
  const expected = x25519PublicKey(ephemeral(anchor, context, keys));
  if (!equalBytes(expected, output.ephemeralKey)) return undefined;
  const memo = openMemo(sigma, output);
  return memo === undefined ? undefined : { tweak: encodeScalar(tweak), memo };
}

/** p = k_s + k_o, 32 bytes little-endian. */
export function oneTimeSecret(keys: WalletKeys, tweak: Uint8Array): Uint8Array {
  const k_s = decodeScalar(keys.spendSecret.reveal());
  const k_o = decodeScalar(tweak);
  assert(k_s !== undefined && k_o !== undefined, 'our own scalars are canonical');
  return encodeScalar(modOrder(k_s + k_o));
}

/** The key image I of a one-time secret. @param blind 32 bytes. */
export function keyImageOfSecret(
  secret: Uint8Array,
  oneTimeKey: Uint8Array,
  blind: Uint8Array,
): Uint8Array {
  const p = decodeScalar(secret);
  assert(p !== undefined && p !== 0n, 'a one-time secret is a scalar');
  return keyImageOf(p, oneTimeKey, blind);
}

function openMemo(sigma: Uint8Array, output: TransactionOutput): Uint8Array | undefined {
  assert(output.memoBox.length === MEMO_BOX_BYTES, 'a memo box has one size');
  const aad = memoAad(output.oneTimeKey, output.amount);
  const padded = decryptOnce(memoKey(sigma, output.oneTimeKey), aad, output.memoBox);
  if (padded === undefined || padded.length !== MEMO_BOX_BYTES - AEAD_TAG_BYTES) return undefined;
  const length = padded[0] ?? 0;
  if (length > maxMemoBytes) return undefined;
  return padded.slice(1 + length).every((byte) => byte === 0)
    ? padded.slice(1, 1 + length)
    : undefined;
}

const ephemeral = (anchor: Uint8Array, context: Uint8Array, to: Address): Uint8Array =>
  labelledHash('safe/v1/output/ephemeral', anchor, context, to.spendKey, to.viewKey);

const sharedSecret = (z: Uint8Array, ephemeralKey: Uint8Array, context: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/output/shared', z, ephemeralKey, context);

const tweakOf = (sigma: Uint8Array, amount: bigint): bigint =>
  hashToScalar('safe/v1/output/one-time', sigma, new Writer().u64(amount).finish());

const viewTagOf = (z: Uint8Array, context: Uint8Array, oneTimeKey: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/output/view-tag', z, context, oneTimeKey).slice(0, VIEW_TAG_BYTES);

const anchorMask = (sigma: Uint8Array, oneTimeKey: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/output/anchor', sigma, oneTimeKey).slice(0, ANCHOR_BYTES);

const memoKey = (sigma: Uint8Array, oneTimeKey: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/output/memo', sigma, oneTimeKey);

const memoAad = (oneTimeKey: Uint8Array, amount: bigint): Uint8Array =>
  concat(oneTimeKey, new Writer().u64(amount).finish());

const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ (b[i] ?? 0));
