/**
 * A suite that pays for each valid signature once. A payment shows the same certificates to an elder
 * in every slot it spends, and its sources again with every repetition; whether a signature is valid
 * depends on nothing but key, purpose and message. Invalid ones are not remembered: there is no end
 * to them.
 */
import { toHex, Writer } from '#core/codec/bytes.ts';
import { forgetOldest } from '#core/bounded.ts';
import { sha256 } from './hash.ts';
import type { ThresholdSuite } from './threshold-suite.ts';

/** Valid signatures remembered; the oldest is forgotten. Some 500 kB. */
export const maxRememberedSignatures = 4_096;

export function rememberingSuite(suite: ThresholdSuite): ThresholdSuite {
  const valid = new Set<string>();
  return {
    ...suite,
    verify: (publicKey, purpose, message, signature) => {
      const layout = new Writer().label(purpose).sized(publicKey).sized(message).sized(signature);
      const id = toHex(layout.finishAs(sha256));
      if (valid.has(id)) return true;
      if (!suite.verify(publicKey, purpose, message, signature)) return false;
      valid.add(id);
      forgetOldest(valid, maxRememberedSignatures);
      return true;
    },
  };
}
