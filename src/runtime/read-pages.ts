/** Asks one peer for the pages of links that lead to a name, as anti-entropy's reading says (N31). */
import { openReading, turnPage } from '#protocol/anti-entropy/index.ts';
import type { SectionProof, SectionTree } from '#protocol/section/index.ts';

/**
 * @param tree what is known now; it grows while pages are read
 * @param ask asks what follows this key, and learns the page. @returns the page if it is proven, null
 *   if not, or if there was no answer
 * @returns whether the pages ended at an authority
 */
export async function readPages(
  tree: () => SectionTree,
  name: Uint8Array,
  ask: (from: Uint8Array) => Promise<SectionProof | null>,
): Promise<boolean> {
  let reading = openReading(tree(), name);
  for (;;) {
    const page = await ask(reading.from);
    const turned = turnPage(tree(), reading, page);
    if (turned.kind !== 'ask') return turned.kind === 'arrived';
    ({ reading } = turned);
  }
}
