/**
 * Selects facts that may be deleted once a newer sealed state is stored: a sealed state replaces all
 * that led to it (N11), so disk use does not grow with the node's age. A start from the remaining facts
 * yields the same state.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { decodeSealedState, type SealedState } from '#protocol/section/index.ts';
import { dkgInstanceId } from '../dkg/instance-id.ts';
import type { SectionNodeFact } from '../state.ts';

/**
 * @param facts of one node, oldest first
 * @returns indexes in `facts` that no start will read again
 */
export function prunableAfter(facts: readonly SectionNodeFact[]): readonly number[] {
  const newestAt = facts.findLastIndex(({ kind }) => kind === 'sealed');
  const newest = facts[newestAt];
  const own = newest?.kind === 'sealed' ? decodeSealedState(newest.sealed) : undefined;
  if (own?.ok !== true) return [];
  const over = sessionsOver(facts, own.value);
  const erasedAt = new Map(
    facts.flatMap((fact, at) => (fact.kind === 'shareErased' ? [[toHex(fact.key), at]] : [])),
  );
  const lastAt = (kind: SectionNodeFact['kind']): number =>
    facts.findLastIndex((fact) => fact.kind === kind);
  const [joiningAt, removedAt] = [lastAt('joining'), lastAt('removed')];
  const { key, generation } = own.value.state.authority;
  // Members under the previous key may contact us until the next handover: keep its last state.
  const previousAt = facts.findLastIndex((fact, at) => {
    const sealed = fact.kind === 'sealed' && at < newestAt && decodeSealedState(fact.sealed);
    return sealed !== false && sealed.ok && !equalBytes(sealed.value.state.authority.key, key);
  });
  const { origin } = own.value.state.ledger;
  const made = origin === null ? null : dkgInstanceId(origin.session, origin.child);

  const isPrunable = (fact: SectionNodeFact, at: number): boolean => {
    switch (fact.kind) {
      case 'sealed':
        return at < newestAt && at !== previousAt;
      case 'agreement': // Only facts of the generation after the sealed one are read.
        return !equalBytes(fact.key, key) || fact.generation <= generation;
      case 'stateLost': // Abstention ends with the key.
      case 'handover': // The handover of an earlier key is complete.
        return !equalBytes(fact.key, key);
      case 'dkg': // N18: the secret of an ended session goes first.
        if (over.has(fact.id) && fact.fact.kind === 'announced') return true;
        return over.has(fact.id) && fact.id !== made;
      case 'session':
      case 'sessionOver': // DKG-D11: other candidates may still ask for the session of the current key.
        return over.has(fact.id) && fact.id !== made;
      case 'share':
      case 'shareErased': // N18: an erased share must leave the disk.
        return at <= (erasedAt.get(toHex(fact.key)) ?? -1);
      case 'joining':
        return at < joiningAt;
      case 'removed':
        return at < removedAt;
      case 'links': // Sealed states do not contain the chain from genesis.
        return false;
    }
  };
  return facts.flatMap((fact, at) => (isPrunable(fact, at) ? [at] : []));
}

/** Ended key generations, except open ones: those must not restart with other dealings. */
function sessionsOver(
  facts: readonly SectionNodeFact[],
  { state }: SealedState,
): ReadonlySet<string> {
  const open = state.ledger.sessions.map(({ id }) => toHex(id));
  const ended = facts.flatMap((fact) => (fact.kind === 'sessionOver' ? [fact.id] : []));
  return new Set(ended.filter((id) => !open.some((session) => id.startsWith(session))));
}
