/**
 * N31, the reader's half of chain-pages.ts: requests page after page of links from one peer, always
 * from the newest key known on the key path of a name, until a page ends at an authority.
 */
import { matches } from '#address/prefix.ts';
import { epochOf, type SectionProof, type SectionTree } from '#protocol/section/index.ts';

/** 4096 links, as many as a tree keeps. */
export const maxPages = 256;

/** A pending request: which links follow `from` on the key path of `name`? */
export interface ChainSync {
  readonly name: Uint8Array;
  readonly from: Uint8Array;
  /** Pages requested, including the pending one. */
  readonly pages: number;
}

export type ChainSyncStep =
  /** Ask the same peer for the links after `from`. */
  | { readonly kind: 'ask'; readonly sync: ChainSync }
  /** The page ended at an authority. */
  | { readonly kind: 'complete' }
  /** No page, no proof, nothing new, or too many pages: give up on this peer. */
  | { readonly kind: 'deadEnd' };

/**
 * ANTI-ENTROPY-R1: the newest known key on the key path of a name, even if only its link is known; initially the
 * genesis key. From a key of another branch, no page would make visible progress.
 */
function keyTowards({ anchor, keys }: SectionTree, name: Uint8Array): Uint8Array {
  let newest = { key: anchor.genesisKey, epoch: -1n };
  for (const known of keys.values()) {
    if (known.epoch > newest.epoch && matches(known.prefix, name)) newest = known;
  }
  return newest.key;
}

export const startChainSync = (tree: SectionTree, name: Uint8Array): ChainSync => ({
  name,
  from: keyTowards(tree, name),
  pages: 1,
});

/**
 * ANTI-ENTROPY-R2, ANTI-ENTROPY-R3: when reading ends.
 * @param tree including the page's links, if they are proven
 * @param page null for no answer, for another answer, and for an unproven page
 */
export function stepChainSync(
  tree: SectionTree,
  sync: ChainSync,
  page: SectionProof | null,
): ChainSyncStep {
  if (page === null) return { kind: 'deadEnd' };
  if (page.authority !== null) return { kind: 'complete' };
  const { name, pages } = sync;
  const from = keyTowards(tree, name);
  // Without a later key, the same request would return the same page.
  if (!isLater(tree, from, sync.from) || pages >= maxPages) return { kind: 'deadEnd' };
  return { kind: 'ask', sync: { name, from, pages: pages + 1 } };
}

/** A key evicted from the tree counts as older than any other. */
const isLater = (tree: SectionTree, key: Uint8Array, than: Uint8Array): boolean =>
  (epochOf(tree, key) ?? -1n) > (epochOf(tree, than) ?? -1n);
