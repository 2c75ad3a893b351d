/** Finds one's own coins among registered outputs. */
import { toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { hkdf } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  decodeEntry,
  verifyCommitted,
  type CommittedTransaction,
  type MoneySection,
  type ProofProblem,
  type RegistryEntry,
  type SectionKeys,
  type Source,
} from '#money/certificate.ts';
import { genesisKeyPair, type ViewKeys, type WalletKeys } from '#money/keys.ts';
import { keyImageOfSecret, openOutput, type OpenedOutput } from '#money/stealth.ts';
import { contextOf, decodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import { coinSecret } from './plan.ts';
import { walletBytes } from './size.ts';
import { addCoin, addSpend, holdsOutput, type Coin, type WalletState } from './state.ts';

export interface Scanner {
  readonly keys: WalletKeys;
  readonly sections: SectionKeys;
  readonly suite: ThresholdSuite;
  /** Is there room for a coin of this amount in a wallet of this size? Everything fits without it. */
  readonly takes?: (walletBytes: number, amount: bigint) => boolean;
}

export interface Scanned {
  /** The wallet with what it learnt; the same object when the line taught nothing. */
  readonly state: WalletState;
  /** The amount of a coin of ours that was left where it is, for want of room. */
  readonly left: bigint | null;
}

/**
 * One line of the registry: an X25519 and a hash for what is not ours (view tag), everything
 * verified against the section key for what is, and for what claims to spend a coin of ours.
 */
export function scanEntry(
  { keys, sections, suite, takes }: Scanner,
  state: WalletState,
  bytes: Uint8Array,
  now: number,
): Result<Scanned, ProofProblem> {
  const entry = decodeEntry(bytes);
  if (!entry.ok) return entry;
  const decoded = decodeTransaction(entry.value.transaction);
  if (!decoded.ok) return err('malformed');
  const txid = txidOf(decoded.value);
  const found = findOutput(keys, decoded.value, entry.value.index);
  const output = decoded.value.outputs[entry.value.index];
  // Every elder's list shows what another's has shown already.
  const isNew = found !== undefined && output && !holdsOutput(state, output.oneTimeKey);
  const spends = decoded.value.inputs.filter(({ keyImage }) => {
    const coin = state.coins.get(toHex(keyImage));
    return coin !== undefined && !coin.spentBy.has(toHex(txid));
  });
  if (!isNew && spends.length === 0) return ok({ state, left: null });

  const committed = verifyCommitted(sections, suite, entry.value);
  if (!committed.ok) return committed;
  let learnt = state;
  for (const { keyImage } of spends) learnt = addSpend(learnt, keyImage, txid);
  if (!isNew) return ok({ state: learnt, left: null });
  // Change of our own payments always comes home.
  const isChange = state.payments.has(toHex(txid));
  if (takes !== undefined && !isChange && !takes(walletBytes(learnt), output.amount)) {
    return ok({ state: learnt, left: output.amount });
  }
  const { coin, source } = toCoin(keys, committed.value, entry.value, found);
  return ok({ state: addCoin(learnt, coin, source, now), left: null });
}

/**
 * A final transaction in hand (our own change, or a receipt): every output of it that is ours.
 * @param committed verified already, by `verifyCommitted` or by the payment machine.
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
  let learnt = state;
  for (const index of decoded.value.outputs.keys()) {
    const found = findOutput(keys, decoded.value, index);
    if (found === undefined) continue;
    const { coin, source } = toCoin(keys, decoded.value, { ...committed, index }, found);
    learnt = addCoin(learnt, coin, source, now);
  }
  for (const { keyImage } of decoded.value.inputs) learnt = addSpend(learnt, keyImage, txid);
  return learnt;
}

/** View keys suffice to find an output; only spending needs more. */
export function findOutput(
  keys: ViewKeys,
  transaction: Transaction,
  index: number,
): OpenedOutput | undefined {
  const output = transaction.outputs[index];
  return output === undefined ? undefined : openOutput(keys, output, contextOf(transaction));
}

/** The network's first coin in the wallet of whoever made it; null when it is not ours. */
export function genesisCoin(
  keys: WalletKeys,
  section: MoneySection,
): { readonly coin: Coin; readonly source: Source } | null {
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
): { readonly coin: Coin; readonly source: Source } {
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

/** A blind only has to be unknown to others, so it may be derived. */
const blindFor = (keys: WalletKeys, oneTimeKey: Uint8Array): Uint8Array =>
  hkdf(keys.seed.reveal(), oneTimeKey, 'safe/v1/wallet/blind', 32);
