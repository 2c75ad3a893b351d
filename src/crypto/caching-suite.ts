/**
 * A suite that verifies each valid signature once. A payment sends the same certificates to an
 * elder in every slot it spends, and its sources again with every repetition; the result depends
 * only on key, purpose and message. Invalid signatures are not cached: their number is unbounded.
 */
import { toHex, Writer } from '#core/codec/bytes.ts';
import { evictOldest } from '#core/bounded-collections.ts';
import { sha256 } from './hash.ts';
import type { ThresholdSuite } from './threshold-suite.ts';

/** Cached valid signatures; the oldest is evicted. Some 500 kB. */
export const maxCachedSignatures = 4_096;

export function cachingSuite(suite: ThresholdSuite): ThresholdSuite {
  const valid = new Set<string>();
  return {
    ...suite,
    verify: (publicKey, purpose, message, signature) => {
      const layout = new Writer().label(purpose).sized(publicKey).sized(message).sized(signature);
      const id = toHex(layout.finishAs(sha256));
      if (valid.has(id)) return true;
      if (!suite.verify(publicKey, purpose, message, signature)) return false;
      valid.add(id);
      evictOldest(valid, maxCachedSignatures);
      return true;
    },
  };
}
