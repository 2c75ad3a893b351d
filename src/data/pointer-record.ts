/**
 * Pointer record: a register with one owner (docs/spec/data.md). Its address can
 * only be derived from the phrase; its content is the Safe's encrypted index.
 *
 * address = SHA-256('safe/pointer/v1' ‖ networkId ‖ owner)
 * record  = u8 1 ‖ owner 32 ‖ version u64 ‖ ciphertext (u32 length ‖ bytes) ‖ signature 64
 * signed  = LP('safe/v1/pointer') ‖ networkId 32 ‖ owner 32 ‖ version u64 ‖ SHA-256(ciphertext) 32
 */
import { toXorName, type XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, concat, equalBytes, Reader, utf8, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';

export const MAX_POINTER_CIPHERTEXT_BYTES = 64 * 1024;
/** All fields but the ciphertext: u8, owner, version, length, signature. */
export const POINTER_OVERHEAD_BYTES = 1 + 32 + 8 + 4 + 64;

const layoutVersion = 1;
const signatureBytes = 64;

export interface PointerRecord {
  /** The owner's ed25519 key, 32 bytes. */
  readonly owner: Uint8Array;
  /** Grows by at least one with every write. */
  readonly version: bigint;
  readonly ciphertext: Uint8Array;
  /** 64 bytes; binds the record to one network. */
  readonly signature: Uint8Array;
}

export function pointerAddress(networkId: Uint8Array, owner: Uint8Array): XorName {
  assert(networkId.length === 32 && owner.length === 32, 'network id and owner have 32 bytes');
  return toXorName(sha256(concat(utf8('safe/pointer/v1'), networkId, owner)));
}

/** @param ownerSeed 32-byte ed25519 seed */
export function signPointer(
  networkId: Uint8Array,
  ownerSeed: Uint8Array,
  version: bigint,
  ciphertext: Uint8Array,
): PointerRecord {
  assert(ciphertext.length <= MAX_POINTER_CIPHERTEXT_BYTES, 'the index was stored as chunks first');
  const owner = ed25519PublicKey(ownerSeed);
  const unsigned = { owner, version, ciphertext };
  return { ...unsigned, signature: signEd25519(ownerSeed, signedBytes(networkId, unsigned)) };
}

export const verifyPointer = (networkId: Uint8Array, record: PointerRecord): boolean =>
  record.ciphertext.length <= MAX_POINTER_CIPHERTEXT_BYTES &&
  verifyEd25519(record.owner, signedBytes(networkId, record), record.signature);

export const encodePointer = (record: PointerRecord): Uint8Array =>
  new Writer()
    .u8(layoutVersion)
    .fixed(record.owner, 32)
    .u64(record.version)
    .sized(record.ciphertext)
    .fixed(record.signature, 64)
    .finish();

/** Decodes only; {@link verifyPointer} checks that the owner signed it for this network. */
export function decodePointer(bytes: Uint8Array): Result<PointerRecord, 'malformed'> {
  const reader = new Reader(bytes);
  const version = reader.u8();
  const record: PointerRecord = {
    owner: reader.fixed(32),
    version: reader.u64(),
    ciphertext: reader.sized(MAX_POINTER_CIPHERTEXT_BYTES),
    signature: reader.fixed(64),
  };
  return reader.finish() && version === layoutVersion ? ok(record) : err('malformed');
}

/**
 * Decodes a record received from another node, and checks its address and its owner's signature.
 * @returns the record, or the check that failed.
 */
export function decodeVerifiedPointer(
  networkId: Uint8Array,
  address: Uint8Array,
  bytes: Uint8Array,
): Result<PointerRecord, 'malformed' | 'otherAddress' | 'badSignature'> {
  const decoded = decodePointer(bytes);
  if (!decoded.ok) return decoded;
  const record = decoded.value;
  if (!equalBytes(pointerAddress(networkId, record.owner), address)) return err('otherAddress');
  return verifyPointer(networkId, record) ? ok(record) : err('badSignature');
}

/** The order of all records that one owner signed: by version, then by body. */
export interface PointerRank {
  readonly version: bigint;
  /** {@link pointerDigest} */
  readonly digest: Uint8Array;
}

/**
 * SHA-256 of the ciphertext. With owner and version it identifies the signed content. The signature
 * is excluded: an owner can make any number of valid ones over one body.
 */
export const pointerDigest = (record: Pick<PointerRecord, 'ciphertext'>): Uint8Array =>
  sha256(record.ciphertext);

/**
 * Positive when `a` replaces `b`. Two bodies of one version only occur when two devices write to
 * different adults at the same time; ordered by digest, all readers and holders choose the same
 * one, even those that know only the digest of the other body.
 */
export function comparePointerRanks(a: PointerRank, b: PointerRank): number {
  if (a.version !== b.version) return a.version > b.version ? 1 : -1;
  return compareBytes(a.digest, b.digest);
}

export const pointerRankOf = (record: PointerRecord): PointerRank => ({
  version: record.version,
  digest: pointerDigest(record),
});

export const comparePointers = (a: PointerRecord, b: PointerRecord): number =>
  comparePointerRanks(pointerRankOf(a), pointerRankOf(b));

/** {@link pointerDigest} of an encoded record; for other bytes, their SHA-256. */
export function pointerRecordDigest(bytes: Uint8Array): Uint8Array {
  const decoded = decodePointer(bytes);
  return decoded.ok ? pointerDigest(decoded.value) : sha256(bytes);
}

/** The bytes of an encoded record before its signature, which the owner may vary. */
export const withoutSignature = (record: Uint8Array): Uint8Array =>
  record.subarray(0, Math.max(0, record.length - signatureBytes));

/** May an adult that stores `kept` replace it by `offered` (both verified)? (docs/spec/data.md) */
export function pointerVerdict(
  kept: PointerRecord,
  offered: PointerRecord,
): 'same' | 'newer' | 'older' | 'taken' {
  if (offered.version > kept.version) return 'newer';
  if (offered.version < kept.version) return 'older';
  return equalBytes(offered.ciphertext, kept.ciphertext) ? 'same' : 'taken';
}

/**
 * Does this evidence justify the refusal of `offered`? Only the owner's own signature under the
 * same or a later version proves that another write was first.
 */
export function provesConflict(
  networkId: Uint8Array,
  offered: PointerRecord,
  evidence: Uint8Array,
): boolean {
  const verdict = evidenceVerdict(networkId, offered, evidence);
  return verdict === 'older' || verdict === 'taken';
}

/** {@link pointerVerdict} for an adult's evidence; `null` when the owner did not sign it. */
export function evidenceVerdict(
  networkId: Uint8Array,
  offered: PointerRecord,
  evidence: Uint8Array,
): ReturnType<typeof pointerVerdict> | null {
  const kept = decodeVerifiedPointer(networkId, pointerAddress(networkId, offered.owner), evidence);
  return kept.ok ? pointerVerdict(kept.value, offered) : null;
}

/**
 * @returns the highest valid version among copies from several holders, `null` if none is valid.
 */
export function choosePointer(
  networkId: Uint8Array,
  address: Uint8Array,
  copies: readonly Uint8Array[],
): PointerRecord | null {
  let chosen: PointerRecord | null = null;
  for (const copy of copies) {
    const verified = decodeVerifiedPointer(networkId, address, copy);
    if (!verified.ok) continue;
    if (chosen === null || comparePointers(verified.value, chosen) > 0) chosen = verified.value;
  }
  return chosen;
}

function signedBytes(
  networkId: Uint8Array,
  record: Pick<PointerRecord, 'owner' | 'version' | 'ciphertext'>,
): Uint8Array {
  return new Writer()
    .label('safe/v1/pointer')
    .fixed(networkId, 32)
    .fixed(record.owner, 32)
    .u64(record.version)
    .fixed(pointerDigest(record), 32)
    .finish();
}
