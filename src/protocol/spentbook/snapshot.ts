/** HANDOVER-R6: a slot's entry in this elder's snapshot when money stops. */
import type { SnapshotEntry } from '#money/snapshot.ts';
import type { SpentbookFact } from './state.ts';

/**
 * @param facts of one slot under the key that is sealed, in the order they were persisted.
 * @param epoch the epoch of that key: decisions of earlier epochs are already in their own roots.
 * @returns null for an untouched slot and for a vote alone, which no certificate can depend on.
 */
export function slotEntry(facts: readonly SpentbookFact[], epoch: bigint): SnapshotEntry | null {
  let entry: SnapshotEntry | null = null;
  let highest = 0;
  for (const fact of facts) {
    if (fact.kind === 'bundled' && fact.bundle.ballot >= highest) {
      const { slot, ballot, txid, transaction, prepared } = fact.bundle;
      highest = ballot;
      entry = { kind: 'bound', slot, txid, transaction, prepared: prepared.map(withoutInclusion) };
    } else if (fact.kind === 'decided' && fact.decision.certificate.epoch === epoch) {
      const { slot, txid, transaction, certificate } = fact.decision;
      return {
        kind: 'decided',
        slot,
        txid,
        transaction,
        certificate: withoutInclusion(certificate),
      };
    }
  }
  return entry;
}

/** Clients can fetch inclusion proofs again; without them an entry has one encoding. */
const withoutInclusion = <T extends object>(certificate: T): T & { readonly inclusion: null } => ({
  ...certificate,
  inclusion: null,
});
