/** N10: under which keys this node says nothing any more. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';

/** Its store holds less than it said under this key; a later one names it anew. */
export const isSilent = (
  { silentUnder }: Pick<SectionNodeConfig, 'silentUnder'>,
  { forgot }: Pick<SectionNodeState, 'forgot'>,
  key: Uint8Array,
): boolean => forgot.has(toHex(key)) || (silentUnder !== null && equalBytes(silentUnder, key));
