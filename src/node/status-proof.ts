/** Whether what a node says of its section follows from the network's first key, and by which pages. */
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  emptyTree,
  learn,
  performVerifyUpdate,
  planUpdate,
  proofOf,
  sectionAt,
  verifySignedAuthority,
  type SectionAuthority,
  type SectionProof,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { readPages } from '#runtime/read-pages.ts';

export interface Proven {
  /** The newest state that was proven; without one what was told. */
  readonly authority: SectionAuthority;
  readonly verified: boolean;
  /** The pages that prove it, in the order in which they can be followed. */
  readonly proofs: readonly SectionProof[];
}

/**
 * With its state a node tells the way there, if that fits on one page; else it is read from the node.
 *
 * @param ask the page that follows this key on the way to the section told; null for anything else
 */
export async function proveState(
  anchor: TrustAnchor,
  told: SignedAuthority,
  ask: (from: Uint8Array) => Promise<SectionProof | null>,
): Promise<Proven> {
  const { authority } = told;
  if (verifySignedAuthority(blsSuite, anchor, told).ok) {
    return { authority, verified: true, proofs: [proofOf(told)] };
  }
  let tree = emptyTree(anchor);
  const proofs: SectionProof[] = [];
  await readPages(
    () => tree,
    authority.prefix.bits,
    async (from) => {
      const page = await ask(from);
      const plan = page === null ? undefined : planUpdate(tree, page);
      const verified = plan?.kind === 'verify' && performVerifyUpdate(blsSuite, plan.job);
      if (page === null || !verified || !verified.ok) return null;
      ({ tree } = learn(tree, verified.value));
      proofs.push(page);
      return page;
    },
  );
  const proven = sectionAt(tree, authority.prefix);
  return proven === undefined
    ? { authority, verified: false, proofs: [] }
    : { authority: proven.authority, verified: true, proofs };
}
