/**
 * What an elder does with data requests, without doing it: whom to ask next, when enough is known,
 * and what to answer. The shell asks, waits, and reports back what happened.
 */
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import type { ReceiptStamp } from '#data/receipt.ts';
import { copiesRequired, copiesWanted } from './placement.ts';
import { maxHolders, type ClientReply } from './wire/client.ts';

/** How one adult answered. */
export type HolderAnswer =
  | { readonly kind: 'stored'; readonly signature: Uint8Array }
  | { readonly kind: 'found'; readonly bytes: Uint8Array }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Silent, unreachable, or caught with wrong bytes or a wrong signature. */
  | { readonly kind: 'failed' };

export interface Answered {
  readonly holder: Uint8Array;
  readonly answer: HolderAnswer;
}

/** One request on its way: candidates in order, who was asked, who answered what. */
export interface Asking {
  readonly candidates: readonly Uint8Array[];
  readonly asked: number;
  readonly answers: readonly Answered[];
}

/**
 * @param avoid holders the client reported, and @param suspects holders that failed us lately:
 * both come last instead of never, because a wrong suspicion must not lose a chunk.
 */
export function startAsking(
  candidates: readonly Uint8Array[],
  avoid: readonly Uint8Array[],
  suspects: ReadonlySet<string>,
): Asking {
  const avoided = new Set(avoid.map(nameToId));
  const rank = (name: Uint8Array): number => {
    const id = nameToId(name);
    return avoided.has(id) ? 2 : suspects.has(id) ? 1 : 0;
  };
  return { candidates: [...candidates].sort((a, b) => rank(a) - rank(b)), asked: 0, answers: [] };
}

/** Takes in an answer; each holder counts once. */
export const withAnswer = (asking: Asking, answered: Answered): Asking => ({
  ...asking,
  answers: [...asking.answers, answered],
});

/**
 * Whom to ask now, so that `wanted` good answers can still come.
 * @param impatient asks one more although earlier ones may still answer.
 */
export function askNext(
  asking: Asking,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
  impatient: boolean,
): readonly [Asking, readonly Uint8Array[]] {
  const good = asking.answers.filter(({ answer }) => isGood(answer)).length;
  const waiting = asking.asked - asking.answers.length;
  const missing = good >= wanted ? 0 : Math.max(impatient ? 1 : 0, wanted - good - waiting);
  const next = asking.candidates.slice(asking.asked, asking.asked + missing);
  return [{ ...asking, asked: asking.asked + next.length }, next];
}

/** Nothing more can come, or enough is here. */
export function isAnswered(
  asking: Asking,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
): boolean {
  const good = asking.answers.filter(({ answer }) => isGood(answer)).length;
  return good >= wanted || asking.answers.length === asking.candidates.length;
}

export const isStored = (answer: HolderAnswer): boolean => answer.kind === 'stored';
/**
 * A proven conflict takes its holder's place. Were the next in line asked instead, three far adults
 * could acknowledge one body of a version while the holders keep another: of four places, three
 * receipts are more than half.
 */
export const isStoredOrTaken = (answer: HolderAnswer): boolean =>
  isStored(answer) || (answer.kind === 'refused' && answer.refusal.kind === 'conflict');
export const isFound = (answer: HolderAnswer): boolean => answer.kind === 'found';
/** For pointer records "I have none" is an answer too. */
export const isCopy = (answer: HolderAnswer): boolean =>
  answer.kind === 'found' || answer.kind === 'nothing';

/** Wanted answers per request: four copies written, one chunk read. */
export const wantedFor = { put: copiesWanted, chunk: 1 } as const;

/** Copies of a record to hear: of every adult that may hold it, as far as one answer has room. */
export const pointersWanted = (holding: number): number =>
  Math.min(maxHolders, Math.max(copiesWanted, holding));

/** Come back when a silent adult may be up again. */
const retryAfterMs = 2_000;

/** @param stamp under which the holders were asked, and signed (N41). */
export function replyToPut(
  asking: Asking,
  kind: 'stored' | 'pointerStored',
  stamp: ReceiptStamp,
): ClientReply {
  const receipts = asking.answers.flatMap(({ holder, answer }) =>
    answer.kind === 'stored' ? [{ holder, signature: answer.signature }] : [],
  );
  if (receipts.length >= copiesRequired) return { kind, stamp, receipts };
  return refused(worstRefusal(asking));
}

export function replyToGetChunk(asking: Asking): ClientReply {
  for (const { holder, answer } of asking.answers) {
    if (answer.kind === 'found') return { kind: 'chunk', bytes: answer.bytes, holder };
  }
  // Absence is only known when everybody said so; a silent holder may have it.
  const allSaidNothing = asking.answers.every(({ answer }) => answer.kind === 'nothing');
  return refused(allSaidNothing ? { kind: 'notFound' } : { kind: 'busy', afterMs: retryAfterMs });
}

export function replyToGetPointer(asking: Asking): ClientReply {
  const copies = asking.answers
    .filter(({ answer }) => isCopy(answer))
    .map(({ holder, answer }) => ({
      holder,
      record: answer.kind === 'found' ? answer.bytes : null,
    }));
  if (copies.length < copiesRequired) return refused({ kind: 'busy', afterMs: retryAfterMs });
  // A record tells more than "I have none", should there be too many answers for one reply.
  const telling = [...copies].sort((a, b) => Number(a.record === null) - Number(b.record === null));
  return { kind: 'pointers', copies: telling.slice(0, maxHolders) };
}

/** Of the holders proper, those that a write did not reach: they are told where to fetch it (R4). */
export const missedBy = (asking: Asking, holders: readonly Uint8Array[]): readonly Uint8Array[] => {
  const stored = new Set(
    asking.answers.filter(({ answer }) => isStored(answer)).map(({ holder }) => nameToId(holder)),
  );
  return holders.filter((holder) => !stored.has(nameToId(holder)));
};

/** What to tell a client whose write got too few receipts: the refusal it can act on. */
function worstRefusal(asking: Asking): Refusal {
  const refusals = asking.answers.flatMap(({ answer }) =>
    answer.kind === 'refused' ? [answer.refusal] : [],
  );
  const conflict = refusals.find((refusal) => refusal.kind === 'conflict');
  if (conflict !== undefined) return conflict;
  const full = refusals.filter((refusal) => refusal.kind === 'full');
  if (full.length > 0) return { kind: 'full' };
  return { kind: 'busy', afterMs: retryAfterMs };
}

const refused = (refusal: Refusal): ClientReply => ({ kind: 'refused', refusal });
