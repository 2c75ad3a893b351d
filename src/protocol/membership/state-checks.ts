/**
 * The cheap half of validation: comparisons on the state, no curve. Voting and applying use the
 * same checks (N8).
 */
import { assertNever } from '#core/assert.ts';
import { SHARES_REQUIRED, type SectionState } from '#protocol/section/index.ts';
import type { Act, ActBody, DemoteAct, HandoverAct, JoinAct, SealedSetAct } from './acts.ts';
import type { SectionRules } from './rules.ts';
import { checkJoin } from './check-join.ts';
import { findSession, isCandidate, isMember } from './state-queries.ts';
import { firstRefusal, ensure, type ActVerdict } from './act-verdict.ts';

/**
 * MEMBERSHIP-B2: enough endorsements by elders that are still members. Their signatures are verified in
 * signature-checks.ts. @param state the sealed state that the generation builds on.
 */
export function checkEndorsements(rules: SectionRules, state: SectionState, act: Act): ActVerdict {
  const present = act.endorsements.filter(({ elder }) => {
    const name = state.authority.elders[elder - 1]?.name;
    return name !== undefined && isMember(state, name);
  });
  const needed = rules.endorsementsNeeded(act.body.kind);
  return firstRefusal(
    () =>
      ensure(
        present.length === act.endorsements.length,
        'MEMBERSHIP-B2',
        'endorsed by an elder that is no longer a member',
      ),
    () => ensure(present.length >= needed, 'N7', `${needed} endorsements`),
    () => ensure(needed > 0 || present.length === 0, 'MEMBERSHIP-B2', 'needs no endorsement'),
  );
}

/** Whether the act fits this state, whichever elders endorse it. */
export function checkApplicable(
  rules: SectionRules,
  state: SectionState,
  body: ActBody,
): ActVerdict {
  const decidable = ensure(
    rules.isDecidable(state.ledger.phase, body.kind),
    'N22',
    `no ${body.kind} while ${state.ledger.phase.kind}`,
  );
  if (!decidable.ok) return decidable;
  switch (body.kind) {
    case 'join':
      return checkJoin(rules, state, body);
    case 'leave':
      return checkRemoval(rules, state, body.name);
    case 'demote':
      return checkDemote(rules, state, body);
    case 'vacancies':
      return ensure(
        body.count !== state.ledger.vacancies,
        'N39',
        'that number of vacancies is already set',
      );
    case 'handover':
      return checkHandover(rules, state, body);
    case 'sealedSet':
      return checkSealedSet(body);
    default:
      return assertNever(body);
  }
}

const checkRemoval = (
  rules: SectionRules,
  state: SectionState,
  name: JoinAct['name'],
): ActVerdict =>
  firstRefusal(
    () => ensure(isMember(state, name), 'MEMBERSHIP-B6', 'not a member'),
    () => ensure(rules.mayRemove(state, name), 'N29', 'no other node can replace it'),
  );

const checkDemote = (rules: SectionRules, state: SectionState, { name }: DemoteAct): ActVerdict =>
  firstRefusal(
    () => checkRemoval(rules, state, name),
    () => ensure(!isCandidate(state, name), 'N24', 'a candidate of a key generation'),
  );

function checkHandover(
  rules: SectionRules,
  state: SectionState,
  handover: HandoverAct,
): ActVerdict {
  const session = findSession(state, handover.sessionId);
  if (session === undefined) return ensure(false, 'N25', 'no such session');
  return firstRefusal(
    () => ensure(rules.isComplete(session, handover), 'N26', 'a proof for each child'),
    () => ensure(rules.isEligible(state, session), 'N24', 'a candidate left'),
    () => ensure(rules.areKeysNew(state, handover), 'N20', 'a repeated key'),
  );
}

const checkSealedSet = ({ snapshots }: SealedSetAct): ActVerdict =>
  ensure(snapshots.length >= SHARES_REQUIRED, 'N23', 'five snapshots');
