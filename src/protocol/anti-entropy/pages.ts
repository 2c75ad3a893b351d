/**
 * N31: what leads a peer from a key it knows to a section, in pages of at most sixteen links. The
 * authority stands on the last page only; whoever has read a page asks on from the key at its end
 * (reading.ts).
 */
import { matches } from '#address/prefix.ts';
import {
  chainPage,
  commonAncestor,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
} from '#protocol/section/index.ts';

type Target = Omit<SignedAuthority, 'chain'>;

/**
 * The page of links that follows the peer's key, with the authority if it is reached. From a key
 * that is no ancestor, as after a split on the other side, the page starts where both meet.
 */
export function pageFor(tree: SectionTree, known: Uint8Array, target: Target): SectionProof {
  const { key } = target.authority;
  const from = commonAncestor(tree, known, key) ?? tree.anchor.genesisKey;
  const page = chainPage(tree, from, key);
  if (page === undefined) return { links: [], authority: target };
  return { links: page.links, authority: page.complete ? target : null };
}

/** All pages from a known key on, in the order in which they can be followed. */
export function pagesFor(
  tree: SectionTree,
  known: Uint8Array,
  target: Target,
): readonly SectionProof[] {
  const pages = [pageFor(tree, known, target)];
  for (;;) {
    const last = pages.at(-1);
    const end =
      last?.authority === null ? endOfPage(last, target.authority.prefix.bits) : undefined;
    if (end === undefined) return pages;
    pages.push(pageFor(tree, end, target));
  }
}

/** The key that a page ends at on the way to this name; undefined for a page without links. */
export function endOfPage({ links }: SectionProof, name: Uint8Array): Uint8Array | undefined {
  const children = links.at(-1)?.record.children ?? [];
  return children.find(({ prefix }) => matches(prefix, name))?.key;
}
