/** The bytes that are signed and hashed. Each begins with its label and the session (N14). */
import type { XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, concat, toHex, utf8, Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import type { SignedAck, SignedComplaint, SignedDealing, SignedKey } from './messages.ts';

/** What makes one key generation different from every other. */
export interface DkgSession {
  /** Seven names, in any order. */
  readonly candidates: readonly XorName[];
  readonly networkName: string;
  /** 32 bytes drawn for this attempt: a failed session is repeated under another nonce. */
  readonly nonce: Uint8Array;
}

/** Hash of the whole canonical session; every signature below includes it. */
export function sessionIdOf(session: DkgSession): Uint8Array {
  assert(session.candidates.length === ELDER_COUNT, 'seven candidates generate a key');
  const sorted = sortedNames(session.candidates);
  return labelledHash(
    'safe/v1/dkg-session',
    concat(...sorted),
    utf8(session.networkName),
    session.nonce,
  );
}

/** A candidate's index is its position here, counted from 1. */
export const sortedNames = (names: readonly XorName[]): readonly XorName[] =>
  [...names].sort(compareBytes);

export const keyBytes = (sessionId: Uint8Array, key: Omit<SignedKey, 'signature'>): Uint8Array =>
  new Writer()
    .label('safe/v1/dkg-key')
    .fixed(sessionId, 32)
    .u8(key.candidate)
    .fixed(key.boxKey, 32)
    .finish();

/**
 * N12: the hash of the key list a dealing used. The keys' signatures are in it: a carrier must not
 * be able to spoil one and have the dealer blamed for it.
 */
export const keyListHash = (sessionId: Uint8Array, keys: readonly SignedKey[]): Uint8Array =>
  labelledHash(
    'safe/v1/dkg-keys',
    sessionId,
    ...keys.map((key) => concat(keyBytes(sessionId, key), key.signature)),
  );

/** N14: session, dealer, key list, commitment and all ciphertexts. */
export function dealingBytes(
  sessionId: Uint8Array,
  dealing: Omit<SignedDealing, 'signature'>,
): Uint8Array {
  const writer = new Writer()
    .label('safe/v1/dkg-dealing')
    .fixed(sessionId, 32)
    .u8(dealing.dealer)
    .fixed(keyListHash(sessionId, dealing.keys), 32)
    .u8(dealing.commitment.length);
  for (const commitment of dealing.commitment) writer.fixed(commitment, 96);
  for (const sealed of dealing.sealedShares) writer.sized(sealed);
  return writer.finish();
}

/** Names a dealing in acks and statuses. */
export const dealingHash = (sessionId: Uint8Array, dealing: SignedDealing): Uint8Array =>
  labelledHash('safe/v1/dkg-dealing-hash', dealingBytes(sessionId, dealing));

export function ackBytes(sessionId: Uint8Array, ack: Omit<SignedAck, 'signature'>): Uint8Array {
  const writer = new Writer().label('safe/v1/dkg-ack').fixed(sessionId, 32).u8(ack.candidate);
  for (const hash of ack.dealings) writer.fixed(hash, 32);
  return writer.finish();
}

export const complaintBytes = (
  sessionId: Uint8Array,
  complaint: Omit<SignedComplaint, 'signature'>,
): Uint8Array =>
  new Writer()
    .label('safe/v1/dkg-complaint')
    .fixed(sessionId, 32)
    .u8(complaint.candidate)
    .fixed(dealingHash(sessionId, complaint.dealing), 32)
    .fixed(complaint.boxSecret, 32)
    .finish();

/** Binds a sealed share to its session and to the two it is between. */
export const boxInfo = (sessionId: Uint8Array, dealer: number, receiver: number): string =>
  `safe/v1/dkg-share/${toHex(sessionId)}/${dealer}/${receiver}`;
