/** The chance of a decision: 32 bytes that nobody could foresee or choose (A1). */
import { Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';

/** The decision whose chance is drawn. */
export interface ChurnPoint {
  readonly networkId: Uint8Array;
  /** 96 bytes: the section's key. */
  readonly key: Uint8Array;
  readonly epoch: bigint;
  /** The generation that was just decided. */
  readonly generation: bigint;
}

/**
 * What five elders sign, purpose CHURN, once the generation is decided. Nothing of the decision's
 * content is in it, so no proposal can aim at a better lot (N36).
 */
export const churnMessageBytes = (point: ChurnPoint): Uint8Array =>
  new Writer()
    .label('safe/v1/churn')
    .fixed(point.networkId, 32)
    .fixed(point.key, 96)
    .u64(point.epoch)
    .u64(point.generation)
    .finish();

/** @param signature 48 bytes: the combined one, which is the same whichever five made it. */
export const churnIdOf = (signature: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/churn-id', signature);

/** Zero bits at the end of the last byte, and on into the bytes before it. */
export function trailingZeroBits(bytes: Uint8Array): number {
  let zeros = 0;
  for (let at = bytes.length - 1; at >= 0; at--) {
    const byte = bytes[at] ?? 0;
    if (byte !== 0) return zeros + 31 - Math.clz32(byte & -byte);
    zeros += 8;
  }
  return zeros;
}
