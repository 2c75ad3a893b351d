/** The current and superseded section keys that certificates are checked against (N34). Pure. */
import { toHex } from '#core/codec/bytes.ts';
import type { SectionKeys } from '#money/spend-certificate.ts';
import { sectionsOf, type SectionTree, supersededKeyOf } from '#protocol/section/index.ts';

/** A key with a known successor is superseded, even if we lack the new elder list. */
export function moneyKeysOf(tree: SectionTree): SectionKeys {
  const sections = sectionsOf(tree);
  const known = [...tree.keys.values()];
  return {
    networkId: tree.anchor.networkId,
    genesisOutput: sections.flatMap(({ genesisOutput }) => genesisOutput ?? [])[0] ?? null,
    current: sections.filter(({ key }) => tree.keys.get(toHex(key))?.successor === null),
    superseded: known.flatMap(({ successor }) =>
      successor === null ? [] : (supersededKeyOf(successor.record) ?? []),
    ),
  };
}
