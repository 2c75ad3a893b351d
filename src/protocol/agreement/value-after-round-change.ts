/** N2: which value is prevoted after a round change: that of the highest lock, else all proposals. */
import { compareBytes, concat, toHex } from '#core/codec/bytes.ts';
import type { QuorumCertificate, RoundChange, Value } from './messages.ts';
import { maxProposals, toValue } from './statements.ts';

/** N2: the only value that these round changes allow. */
export function valueAfterRoundChange(roundChanges: readonly RoundChange[]): Value {
  let lock: QuorumCertificate | null = null;
  for (const { highest } of roundChanges) {
    if (highest !== null && (lock === null || outranks(highest, lock))) lock = highest;
  }
  return lock === null ? unionOf(roundChanges) : lock.value;
}

/** Two locks of one round differ only if more than two elders are faulty. The tie-break is by value. */
const outranks = (a: QuorumCertificate, b: QuorumCertificate): boolean =>
  a.round !== b.round
    ? a.round > b.round
    : compareBytes(concat(...a.value), concat(...b.value)) < 0;

/**
 * All proposals in the round changes. If there are too many, those that most elders saw: faulty
 * elders cannot push out what the honest ones agree on.
 */
function unionOf(roundChanges: readonly RoundChange[]): Value {
  const counts = new Map<string, { readonly hash: Uint8Array; readonly count: number }>();
  for (const { proposals } of roundChanges) {
    for (const hash of proposals) {
      const id = toHex(hash);
      counts.set(id, { hash, count: (counts.get(id)?.count ?? 0) + 1 });
    }
  }
  const ranked = [...counts.values()].sort(
    (a, b) => b.count - a.count || compareBytes(a.hash, b.hash),
  );
  return toValue(ranked.slice(0, maxProposals).map(({ hash }) => hash));
}
