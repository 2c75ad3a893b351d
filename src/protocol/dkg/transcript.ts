/** The signed and hashed layouts. Each begins with its label, network and session (N14). */
import type { XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, concat, Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import type {
  DealingList,
  SignedReadiness,
  SignedDealing,
  SignedKey,
  ProposedList,
} from './messages.ts';

/** Every signature of one key generation contains it. */
export interface Binding {
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  /** 32 bytes, different for each child of a split and for each attempt. */
  readonly sessionId: Uint8Array;
}

/** The session id for one child: 0, or 1 in a split. */
export const childSessionId = (sessionId: Uint8Array, child: number): Uint8Array =>
  labelledHash('safe/v1/dkg-child', sessionId, Uint8Array.of(child));

/** A candidate's index is its position here, counted from 1. */
export const sortedNames = (names: readonly XorName[]): readonly XorName[] =>
  [...names].sort(compareBytes);

const begin = (label: string, { networkId, sessionId }: Binding): Writer =>
  new Writer().label(label).fixed(networkId, 32).fixed(sessionId, 32);

export const keyBytes = (binding: Binding, key: Omit<SignedKey, 'signature'>): Uint8Array =>
  begin('safe/v1/dkg-key', binding).u8(key.candidate).fixed(key.sharingKey, 32).finish();

/**
 * N12: the hash of the keys a dealing used, with their signatures: otherwise a carrier could
 * corrupt a signature and have the dealer blamed.
 */
export const keyListHash = (binding: Binding, keys: readonly (SignedKey | null)[]): Uint8Array =>
  labelledHash(
    'safe/v1/dkg-keys',
    ...keys.map((key) =>
      key === null ? new Uint8Array() : concat(keyBytes(binding, key), key.signature),
    ),
  );

/** N14: network, session, dealer, key list, commitments and all ciphertexts. */
export const dealingBytes = (
  binding: Binding,
  dealing: Omit<SignedDealing, 'signature'>,
): Uint8Array =>
  begin('safe/v1/dkg-dealing', binding)
    .u8(dealing.dealer)
    .fixed(keyListHash(binding, dealing.keys), 32)
    .fixed(labelledHash('safe/v1/dkg-dealing-body', dealing.body), 32)
    .finish();

/** Identifies a dealing in lists and wants. */
export const dealingHash = (binding: Binding, dealing: SignedDealing): Uint8Array =>
  labelledHash('safe/v1/dkg-dealing-hash', dealingBytes(binding, dealing));

/** N14: the bytes the proof in a dealing is bound to. @param keys the seven encryption keys. */
export const dealingBinding = (
  binding: Binding,
  dealer: number,
  list: readonly (SignedKey | null)[],
  keys: readonly Uint8Array[],
): Uint8Array =>
  labelledHash(
    'safe/v1/dkg-dealing-binding',
    binding.networkId,
    binding.sessionId,
    Uint8Array.of(dealer),
    keyListHash(binding, list),
    ...keys,
  );

/** Identifies a list independently of its proposer: equal lists give equal keys. */
export function listHash(binding: Binding, list: DealingList): Uint8Array {
  assert(list.length === ELDER_COUNT, 'a list has one entry per dealer');
  const writer = begin('safe/v1/dkg-list', binding);
  for (const hash of list) {
    if (hash === null) writer.u8(0);
    else writer.u8(1).fixed(hash, 32);
  }
  return labelledHash('safe/v1/dkg-list-hash', writer.finish());
}

export const proposedListBytes = (
  binding: Binding,
  list: Omit<ProposedList, 'signature'>,
): Uint8Array =>
  begin('safe/v1/dkg-named', binding)
    .u8(list.candidate)
    .fixed(listHash(binding, list.dealings), 32)
    .finish();

/**
 * A candidate's ed25519 voucher signs the same bytes as the new key. Without five vouchers anyone
 * could invent a key and sign a proof with it.
 */
export const voucherBytes = (binding: Binding, ready: Uint8Array): Uint8Array =>
  begin('safe/v1/dkg-voucher', binding).sized(ready).finish();

export const readinessBytes = (
  binding: Binding,
  { candidate, list, share, voucher }: Omit<SignedReadiness, 'signature'>,
): Uint8Array =>
  begin('safe/v1/dkg-readiness', binding)
    .u8(candidate)
    .fixed(list, 32)
    .fixed(share, 48)
    .fixed(voucher, 64)
    .finish();
