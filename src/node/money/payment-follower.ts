/** A paying client in a node's process: knows the current keys and follows their changes. */
import { assert } from '#core/assert.ts';
import {
  createTree,
  learn,
  sectionsOf,
  treeWith,
  type SectionTree,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { paymentSectionsOf, type PaymentSections } from '#safe/payment/index.ts';
import { createSectionUpdates } from '../section/section-updates.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface PaymentFollowerOptions {
  readonly anchor: TrustAnchor;
  /** Verified. */
  readonly signed: SignedAuthority;
  readonly request: RequestPeer;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Signed address records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
}

export interface PaymentFollower {
  readonly sections: () => PaymentSections;
  /** Looks up the section of this address; resolves with all sections known then. */
  readonly lookUpSections: (address: Uint8Array) => Promise<PaymentSections>;
}

export function createPaymentFollower(options: PaymentFollowerOptions): PaymentFollower {
  const first = treeWith(createTree(options.anchor), options.signed);
  assert(first.ok, 'one authority holds no second word');
  let tree: SectionTree = first.value;
  const lookUp = createSectionUpdates({
    tree: () => tree,
    request: options.request,
    jobs: options.jobs,
    records: options.records,
    onUpdate: (update) => {
      ({ tree } = learn(tree, update));
    },
  });
  const sections = (): PaymentSections => paymentSectionsOf(moneyKeysOf(tree), sectionsOf(tree));
  return {
    sections,
    lookUpSections: async (address) => {
      await lookUp(address);
      return sections();
    },
  };
}
