/** N34: what a successor record says about the key that signed it. */
import type { Prefix } from '#address/prefix.ts';
import type { SupersededKey } from '#money/certificate.ts';
import type { SuccessorRecord } from '#protocol/section/index.ts';

/** @param record verified. One child keeps its parent's prefix, two have one bit more. */
export function supersededBy(record: SuccessorRecord): SupersededKey | undefined {
  const [first] = record.children;
  if (first === undefined) return undefined;
  const prefix = record.children.length === 1 ? first.prefix : parentOf(first.prefix);
  const { parentKey: key, epoch, sealedRoot } = record;
  return { prefix, key, epoch, sealedRoot };
}

/** The child `0` has the very bits of its parent: the bit that is added is zero. */
const parentOf = ({ bitCount, bits }: Prefix): Prefix => ({ bitCount: bitCount - 1, bits });
