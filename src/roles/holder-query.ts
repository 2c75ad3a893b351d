/**
 * How an elder answers a data request: which holders to ask next, when the answers suffice, and the
 * reply. Pure: the shell sends the requests and returns the answers.
 */
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import type { StateRef } from '#data/storage-receipt.ts';
import { copiesRequired, copiesWanted } from './holder-candidates.ts';
import { maxHolders, type ClientReply } from './wire/client.ts';

/** How one adult answered. */
export type HolderAnswer =
  | { readonly kind: 'stored'; readonly signature: Uint8Array }
  | { readonly kind: 'found'; readonly bytes: Uint8Array }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Unresponsive, unreachable, or returned wrong bytes or a wrong signature. */
  | { readonly kind: 'failed' };

export interface AnswerFromHolder {
  readonly holder: Uint8Array;
  readonly answer: HolderAnswer;
}

/** One request in progress. The first `asked` candidates have been asked; at most one answer each. */
export interface HolderQuery {
  readonly candidates: readonly Uint8Array[];
  readonly asked: number;
  readonly answers: readonly AnswerFromHolder[];
}

/**
 * @param avoid holders the client reported, and @param suspects holders that failed recently: both
 * are asked last, not never, because a wrong suspicion must not lose a chunk.
 */
export function startHolderQuery(
  candidates: readonly Uint8Array[],
  avoid: readonly Uint8Array[],
  suspects: ReadonlySet<string>,
): HolderQuery {
  const avoided = new Set(avoid.map(nameToId));
  const rank = (name: Uint8Array): number => {
    const id = nameToId(name);
    return avoided.has(id) ? 2 : suspects.has(id) ? 1 : 0;
  };
  return { candidates: [...candidates].sort((a, b) => rank(a) - rank(b)), asked: 0, answers: [] };
}

export const withAnswer = (query: HolderQuery, answered: AnswerFromHolder): HolderQuery => ({
  ...query,
  answers: [...query.answers, answered],
});

/**
 * Holders to ask now, so that `wanted` good answers remain possible.
 * @param impatient asks one more, even if earlier ones may still answer.
 */
export function nextHolders(
  query: HolderQuery,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
  impatient: boolean,
): readonly [HolderQuery, readonly Uint8Array[]] {
  const good = query.answers.filter(({ answer }) => isGood(answer)).length;
  const waiting = query.asked - query.answers.length;
  const missing = good >= wanted ? 0 : Math.max(impatient ? 1 : 0, wanted - good - waiting);
  const next = query.candidates.slice(query.asked, query.asked + missing);
  return [{ ...query, asked: query.asked + next.length }, next];
}

/** Enough good answers, or no answer is outstanding. */
export function isQueryComplete(
  query: HolderQuery,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
): boolean {
  const good = query.answers.filter(({ answer }) => isGood(answer)).length;
  return good >= wanted || query.answers.length === query.candidates.length;
}

export const isStored = (answer: HolderAnswer): boolean => answer.kind === 'stored';
/**
 * A proven conflict counts as its holder's answer. If the next adult were asked instead, three far
 * adults could acknowledge one body of a version while the holders store another: three receipts are
 * a majority only of four fixed holders.
 */
export const isStoredOrConflict = (answer: HolderAnswer): boolean =>
  isStored(answer) || isConflict(answer);
const isConflict = (answer: HolderAnswer): boolean =>
  answer.kind === 'refused' && answer.refusal.kind === 'conflict';
export const isFound = (answer: HolderAnswer): boolean => answer.kind === 'found';
/** For pointer records, `nothing` is a useful answer too. */
export const isCopy = (answer: HolderAnswer): boolean =>
  answer.kind === 'found' || answer.kind === 'nothing';

/** Wanted answers per request: four copies written, one chunk read. */
export const wantedFor = { put: copiesWanted, chunk: 1 } as const;

/** Answers wanted for a pointer record: every adult that may store it, up to the copies one reply can carry. */
export const pointersWanted = (holding: number): number =>
  Math.min(maxHolders, Math.max(copiesWanted, holding));

/** An unresponsive adult may be back by then. */
const retryAfterMs = 2_000;

/** @param stateRef the state reference of the request, which the holders signed (N41). */
export function replyToPut(
  query: HolderQuery,
  kind: 'stored' | 'pointerStored',
  stateRef: StateRef,
): ClientReply {
  const receipts = query.answers.flatMap(({ holder, answer }) =>
    answer.kind === 'stored' ? [{ holder, signature: answer.signature }] : [],
  );
  // A slow holder lets farther adults be asked, so three receipts alone are no majority: a proven
  // conflict refuses the write even then. Otherwise two bodies of one version could be acknowledged.
  const conflict = query.answers.find(({ answer }) => isConflict(answer))?.answer;
  if (kind === 'pointerStored' && conflict?.kind === 'refused') return refused(conflict.refusal);
  if (receipts.length >= copiesRequired) return { kind, stateRef, receipts };
  return refused(worstRefusal(query));
}

export function replyToGetChunk(query: HolderQuery): ClientReply {
  for (const { holder, answer } of query.answers) {
    if (answer.kind === 'found') return { kind: 'chunk', bytes: answer.bytes, holder };
  }
  // Absence needs an answer from every candidate: an unresponsive holder may store it.
  const allAbsent = query.answers.every(({ answer }) => answer.kind === 'nothing');
  return refused(allAbsent ? { kind: 'notFound' } : { kind: 'busy', afterMs: retryAfterMs });
}

export function replyToGetPointer(query: HolderQuery): ClientReply {
  const copies = query.answers
    .filter(({ answer }) => isCopy(answer))
    .map(({ holder, answer }) => ({
      holder,
      record: answer.kind === 'found' ? answer.bytes : null,
    }));
  if (copies.length < copiesRequired) return refused({ kind: 'busy', afterMs: retryAfterMs });
  // Records first: they matter more than absences when not all answers fit into the reply.
  const ordered = [...copies].sort((a, b) => Number(a.record === null) - Number(b.record === null));
  return { kind: 'pointers', copies: ordered.slice(0, maxHolders) };
}

/** The holders that did not store this write: the shell sends them where to fetch it (REPLICATION-R4). */
export const holdersMissed = (
  query: HolderQuery,
  holders: readonly Uint8Array[],
): readonly Uint8Array[] => {
  const stored = new Set(
    query.answers.filter(({ answer }) => isStored(answer)).map(({ holder }) => nameToId(holder)),
  );
  return holders.filter((holder) => !stored.has(nameToId(holder)));
};

/** For a write with too few receipts: the refusal a client can act on. */
function worstRefusal(query: HolderQuery): Refusal {
  const refusals = query.answers.flatMap(({ answer }) =>
    answer.kind === 'refused' ? [answer.refusal] : [],
  );
  const conflict = refusals.find((refusal) => refusal.kind === 'conflict');
  if (conflict !== undefined) return conflict;
  const full = refusals.filter((refusal) => refusal.kind === 'full');
  if (full.length > 0) return { kind: 'full' };
  return { kind: 'busy', afterMs: retryAfterMs };
}

const refused = (refusal: Refusal): ClientReply => ({ kind: 'refused', refusal });
