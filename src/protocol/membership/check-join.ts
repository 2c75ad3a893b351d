/** What a node must show to be admitted, compared with the state: no curve (signature-checks.ts has those). */
import { matches } from '#address/prefix.ts';
import { maxMembers, type SectionState } from '#protocol/section/index.ts';
import { ensure, firstRefusal, type ActVerdict } from './act-verdict.ts';
import type { JoinAct } from './acts.ts';
import type { SectionRules } from './rules.ts';
import { includesName, isMember } from './state-queries.ts';

export function checkJoin(rules: SectionRules, state: SectionState, join: JoinAct): ActVerdict {
  const { authority, ledger } = state;
  const { name, certificate } = join;
  return firstRefusal(
    () =>
      ensure(
        matches(authority.prefix, name),
        'MEMBERSHIP-B3',
        'the name belongs to another section',
      ),
    () => ensure(!isMember(state, name), 'MEMBERSHIP-B4', 'already a member'),
    () => ensure(!includesName(ledger.formerNames, name), 'MEMBERSHIP-B4', 'a former member'),
    () => ensure(authority.members.length < maxMembers, 'MEMBERSHIP-B4', 'the section is full'),
    () => ensure(rules.isAgeRight(join), 'MEMBERSHIP-B5', 'the age in the name is wrong'),
    () => ensure(rules.hasVacancy(ledger, join), 'N39', 'no vacancy'),
    () => {
      if (certificate === null) return ensure(true, '', '');
      return firstRefusal(
        () =>
          ensure(rules.isDestination(authority.prefix, certificate), 'N38', 'for another section'),
        () =>
          ensure(
            rules.isCertificateUnused(ledger, authority.networkId, certificate),
            'N38',
            'a used relocation certificate',
          ),
      );
    },
  );
}
