/**
 * Which facts a node may forget once a newer sealed state is on its disk: a sealed state stands for
 * all that led to it (N11), so the disk keeps as much as the present needs and not the node's life.
 * A start on what is left is the same start.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { decodeSealedState, type SealedState } from '#protocol/section/index.ts';
import { sessionKey } from './session-key.ts';
import type { SectionNodeFact } from './state.ts';

/**
 * @param facts of one node, oldest first
 * @returns the places in `facts` of those that no start would look at any more
 */
export function obsoleteAfter(facts: readonly SectionNodeFact[]): readonly number[] {
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
  // Members under the key before have work here until the next handover: its last state stays, too.
  const previousAt = facts.findLastIndex((fact, at) => {
    const sealed = fact.kind === 'sealed' && at < newestAt && decodeSealedState(fact.sealed);
    return sealed !== false && sealed.ok && !equalBytes(sealed.value.state.authority.key, key);
  });
  const { origin } = own.value.state.ledger;
  const made = origin === null ? null : sessionKey(origin.session, origin.child);

  const isObsolete = (fact: SectionNodeFact, at: number): boolean => {
    switch (fact.kind) {
      case 'sealed':
        return at < newestAt && at !== previousAt;
      case 'agreement': // Only votes for the generation after the sealed one are ever looked at.
        return !equalBytes(fact.key, key) || fact.generation <= generation;
      case 'forgot': // A later key has named this node anew.
      case 'handover': // A key that has handed over never does so again: its last state is behind us.
        return !equalBytes(fact.key, key);
      case 'dkg': // N18: the secret of an ended session goes first.
        if (over.has(fact.id) && fact.fact.kind === 'announced') return true;
        return over.has(fact.id) && fact.id !== made;
      case 'session':
      case 'sessionOver': // D11: of the session that made the key in force others still ask.
        return over.has(fact.id) && fact.id !== made;
      case 'share':
      case 'shareErased': // N18: what signs nothing any more is nowhere on the disk.
        return at <= (erasedAt.get(toHex(fact.key)) ?? -1);
      case 'joining':
        return at < joiningAt;
      case 'removed':
        return at < removedAt;
      case 'links': // The way from the genesis key is in no sealed state.
        return false;
    }
  };
  return facts.flatMap((fact, at) => (isObsolete(fact, at) ? [at] : []));
}

/** Ended key generations; one that the ledger still names must not begin anew with other dealings. */
function sessionsOver(
  facts: readonly SectionNodeFact[],
  { state }: SealedState,
): ReadonlySet<string> {
  const open = state.ledger.sessions.map(({ id }) => toHex(id));
  const ended = facts.flatMap((fact) => (fact.kind === 'sessionOver' ? [fact.id] : []));
  return new Set(ended.filter((id) => !open.some((session) => id.startsWith(session))));
}
