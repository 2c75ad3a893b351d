/** Finds the wallet's own coins among registered outputs. */
import { toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { hkdf } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  decodeRegistryEntry,
  verifyCommitted,
  type CommittedTransaction,
  type MoneySection,
  type ProofProblem,
  type RegistryEntry,
  type SectionKeys,
  type InputSource,
} from '#money/spend-certificate.ts';
import { genesisKeyPair, type ViewKeys, type WalletKeys } from '#money/wallet-keys.ts';
import { keyImageOfSecret, openOutput, type OpenedOutput } from '#money/one-time-outputs.ts';
import { contextOf, decodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import { coinSecret } from './plan-payment.ts';
import { walletBytes } from './stored/wallet-bytes.ts';
import { addCoin, addSpend, holdsOutput, type Coin, type WalletState } from './state.ts';

export interface ScanContext {
  readonly keys: WalletKeys;
  readonly sections: SectionKeys;
  readonly suite: ThresholdSuite;
  /** Is there space for a coin of this amount in a wallet of this size? Omitted: always. */
  readonly acceptsCoin?: (walletBytes: number, amount: bigint) => boolean;
}

export interface ScanResult {
  /** The wallet with the new facts; the same object when the line had none. */
  readonly state: WalletState;
  /** The amount of an own coin that was skipped for lack of space. */
  readonly skipped: bigint | null;
}

/**
 * Scans one registry line: an X25519 and a hash for other people's outputs (view tag); for own outputs, and
 * for claimed spends of own coins, it verifies everything against the section key.
 */
export function scanEntry(
  { keys, sections, suite, acceptsCoin }: ScanContext,
  state: WalletState,
  bytes: Uint8Array,
  now: number,
): Result<ScanResult, ProofProblem> {
  const entry = decodeRegistryEntry(bytes);
  if (!entry.ok) return entry;
  const decoded = decodeTransaction(entry.value.transaction);
  if (!decoded.ok) return err('malformed');
  const txid = txidOf(decoded.value);
  const found = findOutput(keys, decoded.value, entry.value.index);
  const output = decoded.value.outputs[entry.value.index];
  // Every elder's list repeats the same outputs.
  const isNew = found !== undefined && output && !holdsOutput(state, output.oneTimeKey);
  const spends = decoded.value.inputs.filter(({ keyImage }) => {
    const coin = state.coins.get(toHex(keyImage));
    return coin !== undefined && !coin.spentBy.has(toHex(txid));
  });
  if (!isNew && spends.length === 0) return ok({ state, skipped: null });

  const committed = verifyCommitted(sections, suite, entry.value);
  if (!committed.ok) return committed;
  let next = state;
  for (const { keyImage } of spends) next = addSpend(next, keyImage, txid);
  if (!isNew) return ok({ state: next, skipped: null });
  // Change of our own payments is always accepted.
  const isChange = state.payments.has(toHex(txid));
  if (acceptsCoin !== undefined && !isChange && !acceptsCoin(walletBytes(next), output.amount)) {
    return ok({ state: next, skipped: output.amount });
  }
  const { coin, source } = toCoin(keys, committed.value, entry.value, found);
  return ok({ state: addCoin(next, coin, source, now), skipped: null });
}

/**
 * Scans a final transaction (our own change, or a receipt) for all own outputs.
 * @param committed already verified by `verifyCommitted` or by the payment machine.
 */
export function scanCommitted(
  keys: WalletKeys,
  state: WalletState,
  committed: CommittedTransaction,
  now: number,
): WalletState {
  const decoded = decodeTransaction(committed.transaction);
  if (!decoded.ok) return state;
  const txid = txidOf(decoded.value);
  let next = state;
  for (const index of decoded.value.outputs.keys()) {
    const found = findOutput(keys, decoded.value, index);
    if (found === undefined) continue;
    const { coin, source } = toCoin(keys, decoded.value, { ...committed, index }, found);
    next = addCoin(next, coin, source, now);
  }
  for (const { keyImage } of decoded.value.inputs) next = addSpend(next, keyImage, txid);
  return next;
}

/** View keys are enough to find an output; only spending needs more. */
export function findOutput(
  keys: ViewKeys,
  transaction: Transaction,
  index: number,
): OpenedOutput | undefined {
  const output = transaction.outputs[index];
  return output === undefined ? undefined : openOutput(keys, output, contextOf(transaction));
}

/** The network's first coin, for the wallet that created it; null when it belongs to another. */
export function genesisCoin(
  keys: WalletKeys,
  section: MoneySection,
): { readonly coin: Coin; readonly source: InputSource } | null {
  const { genesisOutput } = section;
  const { oneTimeKey, secret } = genesisKeyPair(keys.seed.reveal());
  if (genesisOutput === null || toHex(genesisOutput.oneTimeKey) !== toHex(oneTimeKey)) return null;
  const keyImage = keyImageOfSecret(secret.reveal(), oneTimeKey, blindFor(keys, oneTimeKey));
  const { amount } = genesisOutput;
  const key = { kind: 'genesis' } as const;
  const coin = { keyImage, oneTimeKey, amount, key, txid: null, memo: new Uint8Array() };
  return { coin, source: { kind: 'genesis' } };
}

function toCoin(
  keys: WalletKeys,
  transaction: Transaction,
  entry: RegistryEntry,
  found: OpenedOutput,
): { readonly coin: Coin; readonly source: InputSource } {
  const output = transaction.outputs[entry.index];
  if (output === undefined) throw new Error('invariant broken: a found output exists');
  const { oneTimeKey, amount } = output;
  const { memo, tweak } = found;
  const key = { kind: 'stealth', tweak } as const;
  const draft = {
    keyImage: new Uint8Array(32),
    oneTimeKey,
    amount,
    key,
    txid: txidOf(transaction),
    memo,
  };
  const secret = coinSecret(keys, draft);
  const keyImage = keyImageOfSecret(secret, oneTimeKey, blindFor(keys, oneTimeKey));
  const { transaction: bytes, certificates, index } = entry;
  return {
    coin: { ...draft, keyImage },
    source: { kind: 'committed', transaction: bytes, certificates, index },
  };
}

/** A blind only has to be secret, so it may be derived. */
const blindFor = (keys: WalletKeys, oneTimeKey: Uint8Array): Uint8Array =>
  hkdf(keys.seed.reveal(), oneTimeKey, 'safe/v1/wallet/blind', 32);
