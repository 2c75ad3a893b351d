/** N10: the keys under which this node signs nothing. */
import { toHex } from '#core/codec/bytes.ts';
import type { SectionNodeState } from '../state.ts';

/** The store lost statements signed under this key. A later key ends the abstention. */
export const mustAbstain = (
  { keysWithLostState }: Pick<SectionNodeState, 'keysWithLostState'>,
  key: Uint8Array,
): boolean => keysWithLostState.has(toHex(key));
