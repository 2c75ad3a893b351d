/** Any owner can sign the same body of a record again: another valid signature. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { createHash, randomBytes } from 'node:crypto';
import { Writer } from '#core/codec/bytes.ts';
import { pointerDigest, type PointerRecord } from '#data/pointer-record.ts';

const order = ed25519.Point.Fn.ORDER;
const numberOf = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** Signs with a random nonce instead of the deterministic one of RFC 8032. */
export function signedAgain(
  networkId: Uint8Array,
  seed: Uint8Array,
  record: PointerRecord,
): PointerRecord {
  const message = new Writer()
    .label('safe/v1/pointer')
    .fixed(networkId, 32)
    .fixed(record.owner, 32)
    .u64(record.version)
    .fixed(pointerDigest(record), 32)
    .finish();
  const { scalar, pointBytes } = ed25519.utils.getExtendedPublicKey(seed);
  const nonce = numberOf(new Uint8Array(randomBytes(40))) % order;
  const commitment = ed25519.Point.BASE.multiply(nonce).toBytes();
  const hash = createHash('sha512').update(commitment).update(pointBytes).update(message).digest();
  let response = (nonce + (numberOf(hash) % order) * scalar) % order;
  const signature = new Uint8Array(64);
  signature.set(commitment);
  for (let at = 32; at < 64; at++) {
    signature[at] = Number(response & 255n);
    response >>= 8n;
  }
  return { ...record, signature };
}
