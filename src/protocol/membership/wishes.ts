/**
 * From what one elder sees to what it wants. Opinions differ between elders and change with the
 * weather; they decide what is endorsed, and nothing else (N7).
 */
import { equalBytes } from '#core/codec/bytes.ts';
import type { SectionState } from '#protocol/section/index.ts';
import { rankJoiners } from '#protocol/node-age/index.ts';
import type { XorName } from '#address/xor-name.ts';
import type { Act, ActBody, Join } from './acts.ts';
import { checkEndorsements, checkFit } from './checks.ts';
import { isSameAct } from './endorsement.ts';
import { maxTicketSuccessors, sectionRules, type SectionRules } from './rules.ts';
import { firstRefusal, type Verdict } from './verdict.ts';

/** What an elder found out by itself. */
export interface Opinions {
  /** Nodes that asked to come in, signed for themselves and answered at their address (N40). */
  readonly joiners: readonly Joiner[];
  /** Members that are gone. */
  readonly gone: readonly XorName[];
  /** Members that work badly but are there. */
  readonly faulty: readonly XorName[];
  /** How many joiners storage needs (N39); null: no opinion. */
  readonly places: number | null;
}

export interface Joiner extends Omit<Join, 'kind'> {
  /** For a ticket: how often its source has handed over since, as far as this node knows. */
  readonly sourceSuccessors: number;
}

/**
 * What this elder would propose and endorse on this state. Of the joiners that need a place only
 * as many as there are places, those first that are first by the last churn id.
 */
export function wishes(
  state: SectionState,
  opinions: Opinions,
  rules: SectionRules = sectionRules,
): readonly ActBody[] {
  const wanted = bodiesOf(opinions).filter((body) => checkFit(rules, state, body).ok);
  const onPlaces = wanted.filter(needsPlace);
  const ranked = rankJoiners(
    onPlaces.map(({ name }) => name),
    state.ledger.churnId,
  );
  const first = ranked.slice(0, state.ledger.places);
  return wanted.filter(
    (body) => !needsPlace(body) || first.some((name) => equalBytes(name, body.name)),
  );
}

/** Would this elder endorse what another proposes? Its own order of joiners does not matter then. */
export const endorses = (
  state: SectionState,
  opinions: Opinions,
  body: ActBody,
  rules: SectionRules = sectionRules,
): boolean =>
  checkFit(rules, state, body).ok && bodiesOf(opinions).some((own) => isSameAct(own, body));

/** Can the act be proposed: does it fit, and has it endorsements enough? Proofs are not checked. */
export const isProposable = (
  state: SectionState,
  act: Act,
  rules: SectionRules = sectionRules,
): boolean =>
  firstRefusal(
    () => checkEndorsements(rules, state, act),
    () => checkFit(rules, state, act.body),
  ).ok;

/** Why a wish would be refused on this state: for the joiner that asks, and the screen. */
export const whyNot = (
  state: SectionState,
  body: ActBody,
  rules: SectionRules = sectionRules,
): Verdict => checkFit(rules, state, body);

function bodiesOf({ joiners, gone, faulty, places }: Opinions): readonly ActBody[] {
  const fresh = joiners.filter(
    ({ ticket, sourceSuccessors }) => ticket === null || sourceSuccessors <= maxTicketSuccessors,
  );
  return [
    ...gone.map((name) => ({ kind: 'leave', name }) as const),
    ...faulty.map((name) => ({ kind: 'demote', name }) as const),
    ...fresh.map(
      ({ name, sharingKey, ticket }) => ({ kind: 'join', name, sharingKey, ticket }) as const,
    ),
    ...(places === null ? [] : [{ kind: 'places', count: places } as const]),
  ];
}

const needsPlace = (body: ActBody): body is Join => body.kind === 'join' && body.ticket === null;
