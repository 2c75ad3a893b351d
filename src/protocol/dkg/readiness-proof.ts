/** The public proof of a key generation: a key, and that its holders can sign with it (N13). */
import type { XorName } from '#address/xor-name.ts';
import { equalBytes, Writer } from '#core/codec/bytes.ts';
import type { DealingKeys } from '#crypto/dealing/dealing-suite.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { DealingList } from './messages.ts';
import { listHash, voucherBytes, type Binding } from './transcript.ts';

export interface Voucher {
  /** 1…7. */
  readonly candidate: number;
  /** 64 bytes, ed25519 over `voucherBytes`. */
  readonly signature: Uint8Array;
}

export interface ReadinessProof extends DealingKeys {
  readonly list: DealingList;
  /** 48 bytes by `key`, purpose READY, over the configuration's `readyBytes`. */
  readonly signature: Uint8Array;
  /** Five, by ascending candidate. */
  readonly vouchers: readonly Voucher[];
}

/** The bytes a new key signs when the caller has no layout of its own. */
export const defaultReadyBytes = (
  binding: Binding,
  list: Uint8Array,
  { key, publicShares }: DealingKeys,
): Uint8Array =>
  new Writer()
    .label('safe/v1/dkg-ready')
    .fixed(binding.networkId, 32)
    .fixed(binding.sessionId, 32)
    .fixed(list, 32)
    .fixed(key, 96)
    .fixed(labelledHash('safe/v1/dkg-shares', ...publicShares), 32)
    .finish();

/** Exactly five distinct candidates signed this key's bytes. */
export function verifyVouchers(
  identity: IdentitySuite,
  binding: Binding,
  candidates: readonly XorName[],
  ready: Uint8Array,
  vouchers: readonly Voucher[],
): boolean {
  const signed = voucherBytes(binding, ready);
  const ascending = vouchers.every(
    ({ candidate }, at) => candidate > (vouchers[at - 1]?.candidate ?? 0),
  );
  if (!ascending || vouchers.length !== SHARES_REQUIRED) return false;
  return vouchers.every(({ candidate, signature }) => {
    const name = candidates[candidate - 1];
    return name !== undefined && identity.verify(name, signed, signature);
  });
}

/**
 * Verifies a key without any dealing: five candidates vouch for it, the key signed, and all shares
 * lie on one polynomial with it. About 0.1 s with the real curves.
 * @param readyBytes the bytes the key must sign, from the list's hash and the keys.
 */
export function verifyReadinessProof(
  suites: { readonly identity: IdentitySuite; readonly threshold: ThresholdSuite },
  binding: Binding,
  candidates: readonly XorName[],
  readyBytes: (list: Uint8Array, keys: DealingKeys) => Uint8Array,
  ready: ReadinessProof,
): boolean {
  const { list, key, publicShares, signature, vouchers } = ready;
  if (list.length !== ELDER_COUNT || publicShares.length !== ELDER_COUNT) return false;
  const message = readyBytes(listHash(binding, list), { key, publicShares });
  if (!verifyVouchers(suites.identity, binding, candidates, message, vouchers)) return false;
  if (!suites.threshold.verify(key, 'READY', message, signature)) return false;
  const base = publicShares
    .slice(0, SHARES_REQUIRED)
    .map((share, at) => ({ index: at + 1, key: share }));
  const fits = (at: number, expected: Uint8Array): boolean => {
    const computed = suites.threshold.interpolate(base, at);
    return computed !== undefined && equalBytes(computed, expected);
  };
  return (
    fits(0, key) && publicShares.every((share, at) => at < SHARES_REQUIRED || fits(at + 1, share))
  );
}
