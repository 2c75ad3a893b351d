/** Requests the chain pages that lead to a name from one peer, by anti-entropy's chain sync (N31). */
import { startChainSync, stepChainSync } from '#protocol/anti-entropy/index.ts';
import type { SectionProof, SectionTree } from '#protocol/section/index.ts';

/**
 * @param tree the current section tree; it grows while pages are read
 * @param requestPage requests the page after this key and adds it to the tree. @returns the page if it is
 * proven, null if not, or if there was no answer
 * @returns whether the pages ended at an authority
 */
export async function syncChain(
  tree: () => SectionTree,
  name: Uint8Array,
  requestPage: (from: Uint8Array) => Promise<SectionProof | null>,
): Promise<boolean> {
  let sync = startChainSync(tree(), name);
  for (;;) {
    const page = await requestPage(sync.from);
    const turned = stepChainSync(tree(), sync, page);
    if (turned.kind !== 'ask') return turned.kind === 'complete';
    ({ sync } = turned);
  }
}
