/** What a client's verified sections mean to money: who speaks now, and who spoke before (N34). Pure. */
import { toHex } from '#core/codec/bytes.ts';
import type { SectionKeys } from '#money/certificate.ts';
import { supersededBy } from '#protocol/handover/index.ts';
import { sectionsOf, type SectionTree } from '#protocol/section/index.ts';

/** A key that named its successor speaks no more, though nobody has shown us who sits there now. */
export function moneyKeysOf(tree: SectionTree): SectionKeys {
  const sections = sectionsOf(tree);
  const known = [...tree.keys.values()];
  return {
    networkId: tree.anchor.networkId,
    genesisOutput: sections.flatMap(({ genesisOutput }) => genesisOutput ?? [])[0] ?? null,
    current: sections.filter(({ key }) => tree.keys.get(toHex(key))?.successor === null),
    superseded: known.flatMap(({ successor }) =>
      successor === null ? [] : (supersededBy(successor.record) ?? []),
    ),
  };
}
