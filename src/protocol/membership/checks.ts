/**
 * The cheap half of deciding whether an act may be decided: comparisons on the state, no curve.
 * Voting and applying use the same checks (N8).
 */
import { matches } from '#address/prefix.ts';
import { assertNever } from '#core/assert.ts';
import { maxMembers, SHARES_REQUIRED, type SectionState } from '#protocol/section/index.ts';
import type { Act, ActBody, Demote, Handover, Join, SealedSet } from './acts.ts';
import type { SectionRules } from './rules.ts';
import { findSession, includesName, isCandidate, isMember } from './sections.ts';
import { firstRefusal, must, type Verdict } from './verdict.ts';

/**
 * B2: are there enough endorsements by elders that still are members? Their signatures are checked
 * in proofs.ts. @param state the sealed state that the generation builds on.
 */
export function checkEndorsements(rules: SectionRules, state: SectionState, act: Act): Verdict {
  const present = act.endorsements.filter(({ elder }) => {
    const name = state.authority.elders[elder - 1]?.name;
    return name !== undefined && isMember(state, name);
  });
  const needed = rules.endorsementsNeeded(act.body.kind);
  return firstRefusal(
    () => must(present.length === act.endorsements.length, 'B2', 'endorsed by no present elder'),
    () => must(present.length >= needed, 'N7', `${needed} endorsements`),
    () => must(needed > 0 || present.length === 0, 'B2', 'needs no endorsement'),
  );
}

/** Does the act fit this state, whoever wants it? */
export function checkFit(rules: SectionRules, state: SectionState, body: ActBody): Verdict {
  const decidable = must(
    rules.isDecidable(state.ledger.phase, body.kind),
    'N22',
    `no ${body.kind} while ${state.ledger.phase.kind}`,
  );
  if (!decidable.ok) return decidable;
  switch (body.kind) {
    case 'join':
      return checkJoin(rules, state, body);
    case 'leave':
      return checkLoss(rules, state, body.name);
    case 'demote':
      return checkDemote(rules, state, body);
    case 'places':
      return must(body.count !== state.ledger.places, 'N39', 'the places are that many already');
    case 'handover':
      return checkHandover(rules, state, body);
    case 'sealedSet':
      return checkSealedSet(body);
    default:
      return assertNever(body);
  }
}

function checkJoin(rules: SectionRules, state: SectionState, join: Join): Verdict {
  const { authority, ledger } = state;
  const { name, ticket } = join;
  return firstRefusal(
    () => must(matches(authority.prefix, name), 'B3', 'the name belongs to another section'),
    () => must(!isMember(state, name), 'B4', 'a member already'),
    () => must(!includesName(ledger.departed, name), 'B4', 'this name was a member once'),
    () => must(authority.members.length < maxMembers, 'B4', 'the section is full'),
    () => must(rules.isAgeRight(join), 'B5', 'the age in the name is not its due'),
    () => must(rules.hasPlace(ledger, join), 'N39', 'no place free'),
    () => {
      if (ticket === null) return must(true, '', '');
      return firstRefusal(
        () => must(rules.isDestination(authority.prefix, ticket), 'N38', 'for another section'),
        () =>
          must(rules.isTicketUnused(ledger, authority.networkId, ticket), 'N38', 'a used ticket'),
      );
    },
  );
}

const checkLoss = (rules: SectionRules, state: SectionState, name: Join['name']): Verdict =>
  firstRefusal(
    () => must(isMember(state, name), 'B6', 'not a member'),
    () => must(rules.mayLose(state, name), 'N29', 'nobody to replace it'),
  );

const checkDemote = (rules: SectionRules, state: SectionState, { name }: Demote): Verdict =>
  firstRefusal(
    () => checkLoss(rules, state, name),
    () => must(!isCandidate(state, name), 'N24', 'a candidate of a key generation'),
  );

function checkHandover(rules: SectionRules, state: SectionState, handover: Handover): Verdict {
  const session = findSession(state, handover.sessionId);
  if (session === undefined) return must(false, 'N25', 'no such session');
  return firstRefusal(
    () => must(rules.isComplete(session, handover), 'N26', 'a proof for each child'),
    () => must(rules.isEligible(state, session), 'N24', 'a candidate left'),
    () => must(rules.areKeysNew(state, handover), 'N20', 'a key twice'),
  );
}

const checkSealedSet = ({ snapshots }: SealedSet): Verdict =>
  must(snapshots.length >= SHARES_REQUIRED, 'N23', 'five snapshots');
