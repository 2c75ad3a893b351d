/** The sections a node or client knows, as pages that can be learnt one after the other (N31). */
import { lastKeyOfPage, chainPageFor } from '#protocol/anti-entropy/index.ts';
import {
  authorityAt,
  sectionsOf,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
} from '#protocol/section/index.ts';

/** All pages after a known key, in the order in which they can be learnt. */
export function pagesFor(
  tree: SectionTree,
  known: Uint8Array,
  target: Omit<SignedAuthority, 'chain'>,
): readonly SectionProof[] {
  const pages = [chainPageFor(tree, known, target)];
  for (;;) {
    const last = pages.at(-1);
    const end =
      last?.authority === null ? lastKeyOfPage(last, target.authority.prefix.bits) : undefined;
    if (end === undefined) return pages;
    pages.push(chainPageFor(tree, end, target));
  }
}

export interface KnownSection {
  readonly authority: SectionAuthority;
  /** N31: each can be learnt in this order; the last one contains the authority. */
  readonly pages: readonly SectionProof[];
}

/** The newest authority of every section in this tree, with its key path from genesis. */
export const knownSections = (tree: SectionTree): readonly KnownSection[] =>
  sectionsOf(tree).flatMap(({ prefix }) => {
    const signed = authorityAt(tree, prefix);
    if (signed === undefined) return [];
    const pages = pagesFor(tree, tree.anchor.genesisKey, signed);
    return [{ authority: signed.authority, pages }];
  });
