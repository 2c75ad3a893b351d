/** What a joining node does with the first state a peer sends it: the state is only a hint. */
import { matches } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import {
  emptyLedger,
  encodeSealedState,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { SectionNodeInput } from '../state.ts';

/**
 * The ledger of the genesis state is empty, so it can be adopted directly; any later ledger is asked of
 * the section's elders.
 * @param name the node's own
 * @returns null for the state of a section that this name does not belong to
 */
export function firstStateHint(
  anchor: TrustAnchor,
  name: XorName,
  shown: SignedAuthority,
): Extract<SectionNodeInput, { readonly kind: 'addState' | 'queryPeers' }> | null {
  const { generation, key, elders, prefix } = shown.authority;
  if (!matches(prefix, name)) return null;
  if (generation === 0n && equalBytes(key, anchor.genesisKey)) {
    return { kind: 'addState', sealed: genesisState(shown) };
  }
  return { kind: 'queryPeers', peers: elders.map((elder) => nameToId(elder.name)) };
}

/** The signed genesis authority with the empty ledger, encoded as a sealed state. */
export const genesisState = ({ authority, signature, chain }: SignedAuthority): Uint8Array =>
  encodeSealedState({ state: { authority, ledger: emptyLedger }, signature, chain });
