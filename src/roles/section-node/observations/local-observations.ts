/** This elder's observations, in the form that the membership rules take (N7). */
import type { LocalObservations } from '#protocol/membership/index.ts';
import { handoversSince } from '#protocol/section/index.ts';
import type { SectionNodeState } from '../state.ts';

export const observationsFor = ({ observations, tree }: SectionNodeState): LocalObservations => ({
  joiners: [...observations.joinRequests.values()]
    .filter(({ reachable }) => reachable === true)
    .map(({ name, sharingKey, certificate }) => ({
      name,
      sharingKey,
      certificate,
      sourceHandovers: certificate === null ? 0 : handoversSince(tree, certificate.sourceKey),
    })),
  gone: observations.gone,
  faulty: observations.faulty,
  vacancies: observations.vacancies,
});

/** N39: resets a `once` request for vacancies when the section has them; filled ones are not reopened. */
export function dropGrantedVacancies(state: SectionNodeState): SectionNodeState {
  const { own, observations } = state;
  const { vacancies, vacanciesOnce } = observations;
  if (own === null || !vacanciesOnce || vacancies === null) return state;
  if (own.state.ledger.vacancies < vacancies) return state;
  return { ...state, observations: { ...observations, vacancies: null, vacanciesOnce: false } };
}
