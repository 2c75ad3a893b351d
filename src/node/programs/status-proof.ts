/** Checks that a section state reported by a node verifies under the genesis key, and collects the proof. */
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  createTree,
  learn,
  performVerifyUpdate,
  planUpdate,
  sectionProofOf,
  authorityAt,
  verifySignedAuthority,
  type SectionAuthority,
  type SectionProof,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { syncChain } from '#runtime/sync-chain.ts';

export interface ProvenState {
  /** The newest proven state; without one, the reported state. */
  readonly authority: SectionAuthority;
  readonly verified: boolean;
  /** The chain pages that prove it, in order. */
  readonly proofs: readonly SectionProof[];
}

/**
 * A node sends its state with the key path, if that fits on one page; else its pages are requested.
 *
 * @param ask the chain page after this key, towards the reported section; null for any other answer
 */
export async function proveState(
  anchor: TrustAnchor,
  claimed: SignedAuthority,
  ask: (from: Uint8Array) => Promise<SectionProof | null>,
): Promise<ProvenState> {
  const { authority } = claimed;
  if (verifySignedAuthority(blsSuite, anchor, claimed).ok) {
    return { authority, verified: true, proofs: [sectionProofOf(claimed)] };
  }
  let tree = createTree(anchor);
  const proofs: SectionProof[] = [];
  await syncChain(
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
  const proven = authorityAt(tree, authority.prefix);
  return proven === undefined
    ? { authority, verified: false, proofs: [] }
    : { authority: proven.authority, verified: true, proofs };
}
