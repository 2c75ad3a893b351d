/**
 * N31: the links that lead a peer from a key it knows to a section, in pages of at most sixteen.
 * Only the last page carries the authority; after any other page the reader asks from the key at
 * its end (chain-sync.ts).
 */
import { matches } from '#address/prefix.ts';
import {
  chainPage,
  commonAncestor,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
} from '#protocol/section/index.ts';

type PageTarget = Omit<SignedAuthority, 'chain'>;

/**
 * The page of links after the peer's key, with the authority if the page reaches it. When that key
 * is no ancestor, as after a split on the other side, the page starts at the common ancestor.
 */
export function chainPageFor(
  tree: SectionTree,
  known: Uint8Array,
  target: PageTarget,
): SectionProof {
  const { key } = target.authority;
  const from = commonAncestor(tree, known, key) ?? tree.anchor.genesisKey;
  const page = chainPage(tree, from, key);
  if (page === undefined) return { links: [], authority: target };
  return { links: page.links, authority: page.complete ? target : null };
}

/** The last key of a page on the key path of this name; undefined for a page without links. */
export function lastKeyOfPage({ links }: SectionProof, name: Uint8Array): Uint8Array | undefined {
  const children = links.at(-1)?.record.children ?? [];
  return children.find(({ prefix }) => matches(prefix, name))?.key;
}
