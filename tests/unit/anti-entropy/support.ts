/** Trees of a toy network, built from verified proofs. */
import {
  createTree,
  learn,
  performVerifyUpdate,
  planUpdate,
  sectionProofOf,
  type SectionProof,
  type SectionTree,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { only, sign, succeed, type TestSection } from '../section/network.ts';

/** Undefined for a proof that does not verify. */
export function checked(tree: SectionTree, proof: SectionProof): SectionTree | undefined {
  const plan = planUpdate(tree, proof);
  if (plan.kind === 'same') return tree;
  const verified =
    plan.kind === 'verify' ? performVerifyUpdate(toySuite, plan.job) : ({ ok: false } as const);
  return verified.ok ? learn(tree, verified.value).tree : undefined;
}

export const learnProof = (tree: SectionTree, proof: SectionProof): SectionTree =>
  checked(tree, proof) ?? tree;

/** The tree of a node that received these sections, page by page. */
export const knowing = (anchor: TrustAnchor, ...all: readonly TestSection[]): SectionTree =>
  all.reduce((tree, section) => {
    const linked = section.chain.reduce(
      (before, link) => learnProof(before, { links: [link], authority: null }),
      tree,
    );
    return learnProof(linked, { ...sectionProofOf(sign(section)), links: [] });
  }, createTree(anchor));

export const keyOf = (section: TestSection): Uint8Array => section.state.authority.key;

/** A section and its successors over `handovers` handovers, oldest first. */
export function lineFrom(
  first: TestSection,
  handovers: number,
  label: string,
): readonly TestSection[] {
  const line = [first];
  for (let n = 1; n <= handovers; n++) {
    line.push(only(succeed(line.at(-1) ?? first, `${label} ${n}`).children));
  }
  return line;
}
