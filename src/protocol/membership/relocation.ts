/**
 * Who moves, and when. A lot may be drawn at any time; the one who drew it goes when no key
 * generation needs the members to stay. Until then its entry in `moving` waits: a name that is in
 * both lists is drawn, a name in `moving` alone is gone and gets its ticket (B10).
 */
import { ageOf, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { moversAllowed } from '#protocol/node-age/index.ts';
import type { Moving, SectionState } from '#protocol/section/index.ts';
import { depart, withLedger, type Progress } from './progress.ts';
import { maxMoving, type SectionRules } from './rules.ts';
import { adultsIn, isCandidate, isDrawn, isElder, isMember } from './sections.ts';

/** Adults only, none that just came, none that a key generation counts on (A5). */
export function drawLots(rules: SectionRules, state: SectionState): Progress {
  const { authority, ledger } = state;
  const waiting = ledger.moving.filter(({ name }) => isMember(state, name)).length;
  const candidates = adultsIn(state)
    .filter(({ joined }) => joined < authority.generation)
    .map(({ name }) => name)
    .filter((name) => !isDrawn(state, name) && !isCandidate(state, name));
  const memberCount = authority.members.length - waiting;
  const drawn = rules.drawMovers({ candidates, memberCount, churnId: ledger.churnId });
  const entries = drawn.map((name) =>
    entryFor(rules, state, name, rules.rewardedAge(ageOf(name)), 'reward'),
  );
  return {
    state: withMoving(state, [...ledger.moving, ...entries]),
    events: drawn.map((name) => ({ kind: 'drawn', name })),
  };
}

/** Those drawn go, earliest first, as many at once as may (A6). Elders stay, and lose their lot. */
export function letMove(rules: SectionRules, state: SectionState): Progress {
  if (!rules.mayMoveNow(state)) return { state, events: [] };
  const due = state.ledger.moving.filter(({ name }) => isDrawn(state, name));
  const going = due
    .filter(({ name }) => !isElder(state, name))
    .slice(0, moversAllowed(state.authority.members.length));
  const staying = state.ledger.moving.filter(
    ({ name }) => !isMember(state, name) || !isElder(state, name),
  );
  const begin = withMoving(state, staying);
  return {
    state: going.reduce((now, entry) => leaveWith(now, entry), begin),
    events: going.map(({ name, age }) => ({ kind: 'moving', name, age })),
  };
}

/** At once: for a demotion, which is also a removal. */
export function startMove(
  rules: SectionRules,
  state: SectionState,
  name: XorName,
  age: number,
  reason: Moving['reason'],
): Progress {
  return {
    state: leaveWith(state, entryFor(rules, state, name, age, reason)),
    events: [{ kind: 'moving', name, age }],
  };
}

/**
 * B12: a ticket is signed by the key that decided it or by the next one, so entries older than the
 * present key end with it. Who is still waiting goes on waiting.
 */
export function withoutPast(state: SectionState): SectionState {
  const { activated, moving } = state.ledger;
  return withMoving(
    state,
    moving.filter(({ name, generation }) => isMember(state, name) || generation >= activated),
  );
}

const entryFor = (
  rules: SectionRules,
  { authority, ledger }: SectionState,
  name: XorName,
  age: number,
  reason: Moving['reason'],
): Moving => ({
  name,
  age,
  destination: rules.destinationOf(name, ledger.churnId),
  generation: authority.generation,
  reason,
});

function leaveWith(state: SectionState, entry: Moving): SectionState {
  const gone = depart(state, entry.name);
  return withMoving(gone, [...gone.ledger.moving, entry]);
}

/** Over the limit the oldest that is gone is forgotten, then the newest that waits. */
function withMoving(state: SectionState, moving: readonly Moving[]): SectionState {
  if (moving.length <= maxMoving) return withLedger(state, { moving });
  const gone = moving.find(({ name }) => !isMember(state, name));
  const out = gone ?? moving[moving.length - 1];
  const rest = moving.filter(({ name }) => out === undefined || !equalBytes(name, out.name));
  return withMoving(state, rest);
}
