/** R6: what one slot contributes to this elder's snapshot when the section stops. */
import type { SealedEntry } from '#money/snapshot.ts';
import type { SpentbookFact } from './state.ts';

/**
 * @param facts of one slot under the key that is sealed, in the order they were written.
 * @param epoch the epoch of that key: what an earlier epoch decided is in its own root already.
 * @returns null for an untouched slot and for a bare vote, which no certificate can rest on alone.
 */
export function slotEntry(facts: readonly SpentbookFact[], epoch: bigint): SealedEntry | null {
  let entry: SealedEntry | null = null;
  for (const fact of facts) {
    if (fact.kind === 'bundled' && entry === null) {
      const { slot, txid, transaction, prepared } = fact.bundle;
      entry = { kind: 'bound', slot, txid, transaction, prepared: prepared.map(bare) };
    } else if (fact.kind === 'decided' && fact.decision.certificate.epoch === epoch) {
      const { slot, txid, transaction, certificate } = fact.decision;
      return { kind: 'decided', slot, txid, transaction, certificate: bare(certificate) };
    }
  }
  return entry;
}

/** Paths are found again by whoever needs them; without them there is one encoding. */
const bare = <T extends object>(certificate: T): T & { readonly sealed: null } => ({
  ...certificate,
  sealed: null,
});
