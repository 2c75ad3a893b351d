/** Key generations open and close with the agreed state, never by a timer (N24, N25). */
import { type DkgSession, type SectionState, sessionIdOf } from '#protocol/section/index.ts';
import { withLedger, type Progress } from './progress.ts';
import { maxSessions, type SectionRules } from './rules.ts';
import type { KeygenPlan } from './split-or-replace.ts';

/** N24, MEMBERSHIP-B15: closes sessions that lost a candidate. */
export function closeSessions(rules: SectionRules, state: SectionState): Progress {
  const { sessions } = state.ledger;
  const lost = sessions.filter((session) => !rules.isEligible(state, session));
  return {
    state: withLedger(state, { sessions: sessions.filter((each) => !lost.includes(each)) }),
    effects: lost.map(({ id }) => ({ kind: 'sessionClosed', sessionId: id })),
  };
}

/** N25: one for the whole section and one for the split, while no handover is decided. */
export function openSessions(rules: SectionRules, state: SectionState): Progress {
  const { phase, sessions } = state.ledger;
  if (phase.kind !== 'open') return { state, effects: [] };
  const opened: DkgSession[] = [];
  for (const plan of rules.keygenPlansNeeded(state)) {
    const running = [...sessions, ...opened];
    if (running.length >= maxSessions) break;
    if (running.some(({ children }) => children.length === plan.length)) continue;
    opened.push(sessionFor(state, plan));
  }
  return {
    state: withLedger(state, { sessions: [...sessions, ...opened] }),
    effects: opened.map((session) => ({ kind: 'sessionOpened', session })),
  };
}

function sessionFor({ authority }: SectionState, children: KeygenPlan): DkgSession {
  const { networkId, key, epoch, generation } = authority;
  const plan = { opened: generation, children };
  return { id: sessionIdOf(networkId, key, epoch, plan), ...plan };
}
