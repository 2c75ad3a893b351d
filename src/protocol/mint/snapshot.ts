/** R6: what one output contributes to this elder's snapshot when the section stops. */
import type { SealedEntry } from '#money/snapshot.ts';
import type { MintFact } from './state.ts';

/** @param facts of one output under the key that is sealed. */
export function outputEntry(facts: readonly MintFact[]): SealedEntry | null {
  const [first] = facts;
  if (first === undefined) return null;
  const { key, txid, transaction, certificates, index } = first.registration;
  const bare = certificates.map((each) => ({ ...each, sealed: null }));
  return { kind: 'output', key, txid, transaction, certificates: bare, index };
}
