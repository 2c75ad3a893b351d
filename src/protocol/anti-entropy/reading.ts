/**
 * N31, the reader's half of pages.ts: asks one peer for page after page of links, always from the
 * newest key it can follow on the way to a name, until a page ends at an authority.
 */
import { matches } from '#address/prefix.ts';
import { epochOf, type SectionProof, type SectionTree } from '#protocol/section/index.ts';

/** 4096 links, as many as a tree keeps. */
export const maxPages = 256;

/** A question that is under way: what follows `from` on the way to `name`? */
export interface Reading {
  readonly name: Uint8Array;
  readonly from: Uint8Array;
  /** Pages asked for, this one with them. */
  readonly pages: number;
}

export type Turned =
  /** Ask the same peer what follows `from` now. */
  | { readonly kind: 'ask'; readonly reading: Reading }
  /** The page ended at an authority. */
  | { readonly kind: 'arrived' }
  /** Nothing, nothing proven, nothing new, or too much: this peer leads nowhere. */
  | { readonly kind: 'ledNowhere' };

/**
 * The newest known key on the way to a name, though nothing but its link may be known; at first genesis.
 * From the key of a section on another branch no page would be seen to lead on.
 */
function keyTowards({ anchor, keys }: SectionTree, name: Uint8Array): Uint8Array {
  let newest = { key: anchor.genesisKey, epoch: -1n };
  for (const known of keys.values()) {
    if (known.epoch > newest.epoch && matches(known.prefix, name)) newest = known;
  }
  return newest.key;
}

export const openReading = (tree: SectionTree, name: Uint8Array): Reading => ({
  name,
  from: keyTowards(tree, name),
  pages: 1,
});

/**
 * @param tree with the page learnt, if it is proven
 * @param page null for silence, for another answer, and for a page that is not proven
 */
export function turnPage(tree: SectionTree, reading: Reading, page: SectionProof | null): Turned {
  if (page === null) return { kind: 'ledNowhere' };
  if (page.authority !== null) return { kind: 'arrived' };
  const { name, pages } = reading;
  const from = keyTowards(tree, name);
  // A page that led nowhere would lead nowhere again.
  if (!isLater(tree, from, reading.from) || pages >= maxPages) return { kind: 'ledNowhere' };
  return { kind: 'ask', reading: { name, from, pages: pages + 1 } };
}

/** A key that was forgotten is older than any. */
const isLater = (tree: SectionTree, key: Uint8Array, than: Uint8Array): boolean =>
  (epochOf(tree, key) ?? -1n) > (epochOf(tree, than) ?? -1n);
