/** Trees of a toy network, learnt by proofs that were checked. */
import {
  emptyTree,
  learn,
  performVerifyUpdate,
  planUpdate,
  proofOf,
  type SectionProof,
  type SectionTree,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { only, sign, succeed, type Living } from '../section/network.ts';

/** Undefined for a proof that does not hold. */
export function checked(tree: SectionTree, proof: SectionProof): SectionTree | undefined {
  const plan = planUpdate(tree, proof);
  if (plan.kind === 'same') return tree;
  const verified =
    plan.kind === 'verify' ? performVerifyUpdate(toySuite, plan.job) : ({ ok: false } as const);
  return verified.ok ? learn(tree, verified.value).tree : undefined;
}

export const learnProof = (tree: SectionTree, proof: SectionProof): SectionTree =>
  checked(tree, proof) ?? tree;

/** What somebody knows who was shown these sections, page by page. */
export const knowing = (anchor: TrustAnchor, ...all: readonly Living[]): SectionTree =>
  all.reduce((tree, living) => {
    const linked = living.chain.reduce(
      (before, link) => learnProof(before, { links: [link], authority: null }),
      tree,
    );
    return learnProof(linked, { ...proofOf(sign(living)), links: [] });
  }, emptyTree(anchor));

export const keyOf = (living: Living): Uint8Array => living.state.authority.key;

/** A section and what it became in so many handovers, oldest first. */
export function lineFrom(first: Living, handovers: number, word: string): readonly Living[] {
  const line = [first];
  for (let n = 1; n <= handovers; n++) {
    line.push(only(succeed(line.at(-1) ?? first, `${word} ${n}`).children));
  }
  return line;
}
