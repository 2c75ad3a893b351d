/** What a node that is no member yet makes of the first state that another node shows it: it is no more than a hint. */
import { matches } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import {
  emptyLedger,
  encodeSealedState,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { SectionNodeInput } from './state.ts';

/**
 * The genesis state is whole as clients see it; of any other its elders have the rest.
 * @param name the node's own
 * @returns null for the state of a section that this name does not belong to
 */
export function hintIn(
  anchor: TrustAnchor,
  name: XorName,
  told: SignedAuthority,
): Extract<SectionNodeInput, { readonly kind: 'know' | 'ask' }> | null {
  const { generation, key, elders, prefix } = told.authority;
  if (!matches(prefix, name)) return null;
  if (generation === 0n && equalBytes(key, anchor.genesisKey)) {
    return { kind: 'know', sealed: genesisState(told) };
  }
  return { kind: 'ask', peers: elders.map((elder) => nameToId(elder.name)) };
}

/** What the birth signed, with the ledger it began with. */
export const genesisState = ({ authority, signature, chain }: SignedAuthority): Uint8Array =>
  encodeSealedState({ state: { authority, ledger: emptyLedger }, signature, chain });
