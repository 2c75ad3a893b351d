/**
 * Which proposals are held, and for which voter (N9). The table needs no size limit of its own:
 * proposals that are no longer cited are dropped, so a voter fills at most its own share.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Statement } from './messages.ts';
import type { AgreementState, OpenState } from './state.ts';
import { citedBy, headOf, maxProposals, proposalHash } from './statements.ts';

/**
 * Drops each proposal that this elder has not offered, reported or stored and that no newest
 * statement cites. The newest statements of one voter cite at most 4 × `maxProposals`: a prevote
 * and a precommit one value each, a round change a value and the proposals seen.
 */
export function dropUncited(state: OpenState): OpenState {
  const needed = new Set<string>([...state.offered, ...state.stored]);
  const need = (hashes: readonly Uint8Array[]): void => {
    for (const hash of hashes) needed.add(toHex(hash));
  };
  need(state.validHashes);
  need(state.highest?.value ?? []);
  for (const { statement } of state.pending.values()) need(citedBy(statement));
  for (const prevote of state.prevotes.values()) need(prevote.value);
  for (const precommit of state.precommits.values()) need(precommit.certificate.value);
  for (const roundChange of state.roundChanges.values())
    need(citedBy({ kind: 'roundChange', roundChange }));
  const proposals = [...state.proposals].filter(([id]) => needed.has(id));
  return proposals.length === state.proposals.size
    ? state
    : { ...state, proposals: new Map(proposals) };
}

/** Whether a job is still validating a proposal that this statement cites. */
export const isBeingValidated = (state: OpenState, statement: Statement): boolean =>
  citedBy(statement).some((hash) => state.proposals.get(toHex(hash))?.kind === 'checking');

/** A proposal that could not be validated yet, and the voters whose statements wait for it. */
export interface Deferred {
  readonly proposal: Uint8Array;
  /** Positions of the voters whose newest statements cite it. */
  readonly voters: readonly number[];
}

/** Proposals validated as `later`: the role finds out what each of them needs and requests it. */
export function deferredIn(state: AgreementState): readonly Deferred[] {
  if (state.kind !== 'open') return [];
  const waiting = [...state.pending.values()].map(({ statement }) => ({
    voter: headOf(statement).voter,
    cited: new Set(citedBy(statement).map(toHex)),
  }));
  return [...state.proposals].flatMap(([id, held]): readonly Deferred[] => {
    if (held.kind !== 'later') return [];
    const voters = waiting.filter(({ cited }) => cited.has(id)).map(({ voter }) => voter);
    return [{ proposal: held.bytes, voters: [...new Set(voters)] }];
  });
}

/**
 * Whether the engine accepted this proposal or no longer needs it. An abstaining engine accepts
 * none.
 */
export const isProposed = (state: AgreementState, proposal: Uint8Array): boolean =>
  state.kind !== 'open' || state.offered.has(toHex(proposalHash(proposal)));

/**
 * Adds a valid proposal to those that round changes list, at most `maxProposals`. Copies of one
 * subject (an act with other endorsements) take one entry, so copies cannot fill the list. When it
 * is full, an own proposal replaces the newest one of another elder.
 */
export function recordValidProposal(
  state: OpenState,
  proposal: Uint8Array,
  subjectOf: (proposal: Uint8Array) => string,
): OpenState {
  const hash = proposalHash(proposal);
  const subject = subjectOf(proposal);
  const { validHashes, offered, proposals } = state;
  const bytesOf = (each: Uint8Array): Uint8Array | undefined => {
    const held = proposals.get(toHex(each));
    return held !== undefined && 'bytes' in held ? held.bytes : undefined;
  };
  const isKnown = validHashes.some((each) => {
    if (equalBytes(each, hash)) return true;
    const bytes = bytesOf(each);
    return bytes !== undefined && subjectOf(bytes) === subject;
  });
  if (isKnown) return state;
  if (validHashes.length < maxProposals) return { ...state, validHashes: [...validHashes, hash] };
  const foreign = validHashes.findLastIndex((each) => !offered.has(toHex(each)));
  if (foreign < 0 || !offered.has(toHex(hash))) return state;
  return {
    ...state,
    validHashes: [...validHashes.slice(0, foreign), ...validHashes.slice(foreign + 1), hash],
  };
}
