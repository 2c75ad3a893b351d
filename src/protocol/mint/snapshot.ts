/** HANDOVER-R6: an output's entry in this elder's snapshot when money stops. */
import type { SnapshotEntry } from '#money/snapshot.ts';
import type { MintFact } from './state.ts';

/** @param facts of one output under the key that is sealed. */
export function outputEntry(facts: readonly MintFact[]): SnapshotEntry | null {
  const [first] = facts;
  if (first === undefined) return null;
  const { key, txid, transaction, certificates, index } = first.registration;
  const withoutInclusion = certificates.map((each) => ({ ...each, inclusion: null }));
  return { kind: 'output', key, txid, transaction, certificates: withoutInclusion, index };
}
