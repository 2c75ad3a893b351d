/**
 * Persists the links a node has followed: sealed states are pushed with their last link only, so they
 * do not contain the chain from genesis that a restart needs.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import {
  decodeSuccessor,
  encodeSuccessor,
  learn,
  maxChainLinks,
  trustedUpdate,
  type SectionTree,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import type { NodeEffect } from '../node-step.ts';

/** Persists every link in `after` that `before` lacks, parents first. */
export function persistNewLinks(before: SectionTree, after: SectionTree): readonly NodeEffect[] {
  if (before.keys === after.keys) return [];
  const fresh = new Map(
    [...after.keys.values()].flatMap(({ link }) => {
      if (link === null) return [];
      const parent = toHex(link.record.parentKey);
      return before.keys.get(parent)?.successor ? [] : [[parent, link] as const];
    }),
  );
  const links = [...fresh.values()]
    .sort((a, b) => Number(a.record.epoch - b.record.epoch))
    .map(encodeSuccessor);
  return Array.from({ length: Math.ceil(links.length / maxChainLinks) }, (_, at) => ({
    kind: 'persist',
    fact: { kind: 'links', links: links.slice(at * maxChainLinks, (at + 1) * maxChainLinks) },
  }));
}

/** Splits links into pages, each a contiguous chain. */
export function linkPages(
  links: readonly SignedSuccessor[],
): readonly (readonly SignedSuccessor[])[] {
  const pages: SignedSuccessor[][] = [];
  for (const link of links) {
    const page = pages.at(-1);
    const before = page?.at(-1)?.record.children ?? [];
    const follows = before.some(({ key }) => equalBytes(key, link.record.parentKey));
    if (page !== undefined && follows && page.length < maxChainLinks) page.push(link);
    else pages.push([link]);
  }
  return pages;
}

/** Adds stored links one by one: they may belong to different branches. */
export function restoreLinks(before: SectionTree, links: readonly Uint8Array[]): SectionTree {
  let tree = before;
  for (const bytes of links) {
    const link = decodeSuccessor(bytes);
    if (!link.ok) continue;
    ({ tree } = learn(tree, trustedUpdate({ links: [link.value], authority: null })));
  }
  return tree;
}
