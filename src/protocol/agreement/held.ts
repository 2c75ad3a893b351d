/**
 * Which proposals are held, and for whom (N9). The table has no size of its own: what nobody cites
 * any more is forgotten, so every voter fills at most its own share, whatever it sends.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Statement } from './messages.ts';
import type { AgreementState, OpenState } from './state.ts';
import { citedBy, headOf, maxProposals, proposalHash } from './statements.ts';

/**
 * Forgets what neither this elder offers, reports or has stored, nor a newest statement cites. Those of
 * one voter cite 4 × `maxProposals` at most: a vote and a strong statement each one value, a report a
 * value and what was seen.
 */
export function prune(state: OpenState): OpenState {
  const needed = new Set<string>([...state.offered, ...state.stored]);
  const need = (hashes: readonly Uint8Array[]): void => {
    for (const hash of hashes) needed.add(toHex(hash));
  };
  need(state.seen);
  need(state.highest?.value ?? []);
  for (const { statement } of state.waiting.values()) need(citedBy(statement));
  for (const vote of state.votes.values()) need(vote.value);
  for (const strong of state.strongs.values()) need(strong.certificate.value);
  for (const report of state.reports.values()) need(citedBy({ kind: 'report', report }));
  const proposals = [...state.proposals].filter(([id]) => needed.has(id));
  return proposals.length === state.proposals.size
    ? state
    : { ...state, proposals: new Map(proposals) };
}

/** Is a job still deciding about anything that this statement cites? */
export const isBeingChecked = (state: OpenState, statement: Statement): boolean =>
  citedBy(statement).some((hash) => state.proposals.get(toHex(hash))?.kind === 'checking');

/** A proposal that could not be judged yet, and whose statements wait for it. */
export interface Deferred {
  readonly proposal: Uint8Array;
  /** Positions of the voters whose newest statements cite it. */
  readonly voters: readonly number[];
}

/** What `later` was said of: the role finds out what each of them needs, and asks for it. */
export function deferredIn(state: AgreementState): readonly Deferred[] {
  if (state.kind !== 'open') return [];
  const waiting = [...state.waiting.values()].map(({ statement }) => ({
    voter: headOf(statement).voter,
    cited: new Set(citedBy(statement).map(toHex)),
  }));
  return [...state.proposals].flatMap(([id, held]): readonly Deferred[] => {
    if (held.kind !== 'later') return [];
    const voters = waiting.filter(({ cited }) => cited.has(id)).map(({ voter }) => voter);
    return [{ proposal: held.bytes, voters: [...new Set(voters)] }];
  });
}

/** Was this offer taken? One made to an engine that is silent or done has to be made again. */
export const isOffered = (state: AgreementState, proposal: Uint8Array): boolean =>
  state.kind !== 'open' || state.offered.has(toHex(proposalHash(proposal)));

/**
 * A newer valid proposal: the first `maxProposals` are what this elder reports. Copies of one subject
 * (an act with other endorsements) take one place, so that nobody fills the list with copies; and what
 * this elder offers itself takes the place of the newest one that it does not.
 */
export function sawValid(
  state: OpenState,
  proposal: Uint8Array,
  subjectOf: (proposal: Uint8Array) => string,
): OpenState {
  const hash = proposalHash(proposal);
  const subject = subjectOf(proposal);
  const { seen, offered, proposals } = state;
  const bytesOf = (each: Uint8Array): Uint8Array | undefined => {
    const held = proposals.get(toHex(each));
    return held !== undefined && 'bytes' in held ? held.bytes : undefined;
  };
  const isKnown = seen.some((each) => {
    if (equalBytes(each, hash)) return true;
    const bytes = bytesOf(each);
    return bytes !== undefined && subjectOf(bytes) === subject;
  });
  if (isKnown) return state;
  if (seen.length < maxProposals) return { ...state, seen: [...seen, hash] };
  const foreign = seen.findLastIndex((each) => !offered.has(toHex(each)));
  if (foreign < 0 || !offered.has(toHex(hash))) return state;
  return { ...state, seen: [...seen.slice(0, foreign), ...seen.slice(foreign + 1), hash] };
}
