/** The randomness of a decision: 32 bytes that no node can foresee or choose (AGE-A1). */
import { Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';

/** The decision that a churn id belongs to. */
export interface ChurnPoint {
  readonly networkId: Uint8Array;
  /** 96 bytes: the section's key. */
  readonly key: Uint8Array;
  readonly epoch: bigint;
  /** The generation that was just decided. */
  readonly generation: bigint;
}

/**
 * The bytes five elders sign, purpose CHURN, once the generation is decided. They contain nothing
 * of the decision, so no proposal can steer the relocation lottery (N36).
 */
export const churnMessageBytes = (point: ChurnPoint): Uint8Array =>
  new Writer()
    .label('safe/v1/churn')
    .fixed(point.networkId, 32)
    .fixed(point.key, 96)
    .u64(point.epoch)
    .u64(point.generation)
    .finish();

/** @param signature 48 bytes: combined from any five shares, always the same. */
export const churnIdOf = (signature: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/churn-id', signature);

/** Trailing zero bits of the big-endian number. */
export function trailingZeroBits(bytes: Uint8Array): number {
  let zeros = 0;
  for (let at = bytes.length - 1; at >= 0; at--) {
    const byte = bytes[at] ?? 0;
    if (byte !== 0) return zeros + 31 - Math.clz32(byte & -byte);
    zeros += 8;
  }
  return zeros;
}
