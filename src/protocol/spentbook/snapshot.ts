/** HANDOVER-R6: a slot's entry in this elder's snapshot when money stops. */
import type { SnapshotEntry } from '#money/snapshot.ts';
import type { SpentbookFact } from './state.ts';

/**
 * @param facts of one slot under the key that is sealed, in the order they were persisted.
 * @param epoch the epoch of that key: decisions of earlier epochs are already in their own roots.
 * @returns the decision, or the bundle with the highest ballot; null for an untouched slot and for promises and
 * votes alone, which no certificate can depend on: they end with the key.
 */
export function slotEntry(facts: readonly SpentbookFact[], epoch: bigint): SnapshotEntry | null {
  const row = facts.at(-1)?.row;
  if (row === undefined) return null;
  if (row.decision?.certificate.epoch === epoch) {
    const { slot, txid, transaction, certificate } = row.decision;
    return { kind: 'decided', slot, txid, transaction, certificate: withoutInclusion(certificate) };
  }
  if (row.bundle === null) return null;
  const { slot, txid, transaction, prepared } = row.bundle;
  return { kind: 'bound', slot, txid, transaction, prepared: prepared.map(withoutInclusion) };
}

/** Clients can fetch inclusion proofs again; without them an entry has one encoding. */
const withoutInclusion = <T extends object>(certificate: T): T & { readonly inclusion: null } => ({
  ...certificate,
  inclusion: null,
});
