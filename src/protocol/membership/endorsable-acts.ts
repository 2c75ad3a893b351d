/**
 * Turns one elder's observations into the acts it endorses. Observations differ between elders and
 * over time; they only decide what is endorsed (N7).
 */
import { equalBytes } from '#core/codec/bytes.ts';
import type { SectionState } from '#protocol/section/index.ts';
import { rankJoiners } from '#protocol/node-age/index.ts';
import type { XorName } from '#address/xor-name.ts';
import type { Act, ActBody, JoinAct } from './acts.ts';
import { checkEndorsements, checkApplicable } from './state-checks.ts';
import { maxSourceHandovers, sectionRules, type SectionRules } from './rules.ts';
import { firstRefusal, type ActVerdict } from './act-verdict.ts';

/** What an elder observed itself. */
export interface LocalObservations {
  /** Nodes that requested to join, signed with their name's key and answered at their address (N40). */
  readonly joiners: readonly Joiner[];
  /** Members that are gone. */
  readonly gone: readonly XorName[];
  /** Members that work badly but are reachable. */
  readonly faulty: readonly XorName[];
  /** How many joiners storage needs (N39); null: unknown. */
  readonly vacancies: number | null;
}

export interface Joiner extends Omit<JoinAct, 'kind'> {
  /**
   * For a relocation certificate: how many handovers its source had since, as far as this node
   * knows.
   */
  readonly sourceHandovers: number;
}

/**
 * The acts that this elder proposes and endorses on this state. Of the joiners that need a vacancy:
 * as many as there are vacancies, those ranked first by the last churn id.
 */
export function actsToEndorse(
  state: SectionState,
  observations: LocalObservations,
  rules: SectionRules = sectionRules,
): readonly ActBody[] {
  const wanted = observedActs(observations).filter(
    (body) => checkApplicable(rules, state, body).ok,
  );
  const onVacancies = wanted.filter(needsVacancy);
  const ranked = rankJoiners(
    onVacancies.map(({ name }) => name),
    state.ledger.churnId,
  );
  const first = ranked.slice(0, state.ledger.vacancies);
  return wanted.filter(
    (body) => !needsVacancy(body) || first.some((name) => equalBytes(name, body.name)),
  );
}

/** Whether an act can be proposed: applicable, with enough endorsements. Signatures are not checked. */
export const isProposable = (
  state: SectionState,
  act: Act,
  rules: SectionRules = sectionRules,
): boolean =>
  firstRefusal(
    () => checkEndorsements(rules, state, act),
    () => checkApplicable(rules, state, act.body),
  ).ok;

/** Why an act would be refused on this state: for the joiner that asks, and for the Network page. */
export const refusalReason = (
  state: SectionState,
  body: ActBody,
  rules: SectionRules = sectionRules,
): ActVerdict => checkApplicable(rules, state, body);

function observedActs({ joiners, gone, faulty, vacancies }: LocalObservations): readonly ActBody[] {
  const fresh = joiners.filter(
    ({ certificate, sourceHandovers }) =>
      certificate === null || sourceHandovers <= maxSourceHandovers,
  );
  return [
    ...gone.map((name) => ({ kind: 'leave', name }) as const),
    ...faulty.map((name) => ({ kind: 'demote', name }) as const),
    ...fresh.map(
      ({ name, sharingKey, certificate }) =>
        ({ kind: 'join', name, sharingKey, certificate }) as const,
    ),
    ...(vacancies === null ? [] : [{ kind: 'vacancies', count: vacancies } as const]),
  ];
}

const needsVacancy = (body: ActBody): body is JoinAct =>
  body.kind === 'join' && body.certificate === null;
