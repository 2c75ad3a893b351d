/** The charter (the elder set of one key), and the hash by which a successor record names it (N28). */
import { Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { Charter } from './state.ts';

/** Picks the charter's fields from an authority. */
export const charterOf = ({ networkId, prefix, key, epoch, elders }: Charter): Charter => ({
  networkId,
  prefix,
  key,
  epoch,
  elders,
});

/** 32 bytes. */
export function charterHash({ networkId, prefix, key, epoch, elders }: Charter): Uint8Array {
  const writer = new Writer()
    .fixed(networkId, 32)
    .u8(prefix.bitCount)
    .fixed(prefix.bits, 32)
    .fixed(key, 96)
    .u64(epoch)
    .u8(elders.length);
  for (const { name, publicShare } of elders) writer.fixed(name, 32).fixed(publicShare, 96);
  return labelledHash('safe/v1/charter', writer.finish());
}
