/** A paying client in a node's process: knows which keys speak, and hears of it when they change. */
import { assert } from '#core/assert.ts';
import type { Result } from '#core/result.ts';
import {
  emptyTree,
  learn,
  sectionsOf,
  treeWith,
  type SectionTree,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { paymentSectionsOf, type PaymentSections } from '#safe/payment/index.ts';
import { createSectionNews } from './handover-money-news.ts';

export interface PaymentFollowerOptions {
  readonly anchor: TrustAnchor;
  /** Verified. */
  readonly signed: SignedAuthority;
  readonly request: (
    elder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Signed address records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
}

export interface PaymentFollower {
  readonly sections: () => PaymentSections;
  /** Asks who answers for this address now; resolves with what is known then. */
  readonly news: (address: Uint8Array) => Promise<PaymentSections>;
}

export function createPaymentFollower(options: PaymentFollowerOptions): PaymentFollower {
  const first = treeWith(emptyTree(options.anchor), options.signed);
  assert(first.ok, 'one authority holds no second word');
  let tree: SectionTree = first.value;
  const seek = createSectionNews({
    tree: () => tree,
    request: options.request,
    jobs: options.jobs,
    records: options.records,
    learned: (update) => {
      ({ tree } = learn(tree, update));
    },
  });
  const sections = (): PaymentSections => paymentSectionsOf(moneyKeysOf(tree), sectionsOf(tree));
  return {
    sections,
    news: async (address) => {
      await seek(address);
      return sections();
    },
  };
}
