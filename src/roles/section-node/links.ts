/**
 * The links a node has followed, on its disk: a sealed state is pushed with its last link only, so
 * after a restart the way from the genesis key to the node's own is not to be had from it.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import {
  decodeSuccessor,
  encodeSuccessor,
  learn,
  maxChainLinks,
  storedUpdate,
  type SectionTree,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import type { NodeEffect } from './flow.ts';

/** Writes down every link that `after` knows and `before` did not, in an order that can be followed. */
export function keepLinks(before: SectionTree, after: SectionTree): readonly NodeEffect[] {
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

/** The same links as pages, each of which can be followed by itself. */
export function pagesOf(
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

/** From our own disk: each link by itself, for they may be of different branches. */
export function recallLinks(before: SectionTree, links: readonly Uint8Array[]): SectionTree {
  let tree = before;
  for (const bytes of links) {
    const link = decodeSuccessor(bytes);
    if (!link.ok) continue;
    ({ tree } = learn(tree, storedUpdate({ links: [link.value], authority: null })));
  }
  return tree;
}
