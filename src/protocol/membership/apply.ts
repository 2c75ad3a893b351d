/**
 * From a decided set to the next state, which every elder computes identically and then seals (N8).
 *
 * Acts apply first, in canonical order. Then key generations that lost a candidate close, the
 * relocation lottery runs, due relocations start, and needed key generations open.
 */
import { ageOf, type XorName } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import { compareBytes, toHex } from '#core/codec/bytes.ts';
import { andThen, unchanged } from '#core/step.ts';
import type { Turnover } from '#protocol/node-age/index.ts';
import { withLedgerRoot, type SectionState } from '#protocol/section/index.ts';
import type { Act, ActBody, HandoverAct, JoinAct, SealedSetAct } from './acts.ts';
import { checkEndorsements, checkApplicable } from './state-checks.ts';
import { actId, decodeAct } from './codec.ts';
import { withEndorsements } from './endorsement.ts';
import { removeMember, withLedger, type Progress, type SectionEvent } from './progress.ts';
import {
  drawRelocations,
  startDueRelocations,
  relocateNow,
  dropExpiredRelocations,
} from './relocation.ts';
import { sectionRules, type SectionRules } from './rules.ts';
import { findSession } from './state-queries.ts';
import { closeSessions, openSessions } from './keygen-sessions.ts';
import { charterFor } from './signed-layouts.ts';
import { firstRefusal, type ActFault } from './act-verdict.ts';

export interface DroppedAct {
  readonly act: Act;
  readonly fault: ActFault;
}

export interface Applied {
  /** To be sealed; generation one higher. */
  readonly state: SectionState;
  /** In the order of application. */
  readonly applied: readonly Act[];
  /** Acts that no longer fitted after those applied before them. */
  readonly dropped: readonly DroppedAct[];
  readonly events: readonly SectionEvent[];
}

/**
 * @param sealed the state that the decision builds on. @param decided acts whose proofs every voter
 * checked; in any order, with duplicates.
 * @param churnId 32 bytes, drawn after the decision (N36).
 */
export function applyActs(
  sealed: SectionState,
  decided: readonly Uint8Array[],
  churnId: Uint8Array,
  rules: SectionRules = sectionRules,
): Applied {
  const applied: Act[] = [];
  const dropped: DroppedAct[] = [];
  const turnover: Turnover[] = [];
  let progress: Progress = { state: nextGeneration(sealed, churnId), effects: [] };
  for (const act of rules.canonicalOrder(distinctActs(decided), churnId)) {
    const now = progress.state;
    const verdict = firstRefusal(
      () => checkEndorsements(rules, sealed, act),
      () => checkApplicable(rules, now, act.body),
    );
    if (!verdict.ok && rules.isDropped(verdict)) {
      dropped.push({ act, fault: verdict.error });
      continue;
    }
    applied.push(act);
    turnover.push(...turnoverOf(act.body));
    progress = andThen(progress, (state) => applyAct(rules, state, act.body));
  }
  const holdsLottery = rules.holdsLottery(namesOf(sealed), turnover);
  const { state, effects } = andThen(
    progress,
    (now) => closeSessions(rules, now),
    (now) => (holdsLottery ? drawRelocations(rules, now) : unchanged(now)),
    (now) => startDueRelocations(rules, now),
    (now) => openSessions(rules, now),
  );
  return { state: withLedgerRoot(state), events: effects, applied, dropped };
}

const nextGeneration = (
  { authority, ledger }: SectionState,
  churnId: Uint8Array,
): SectionState => ({
  authority: { ...authority, generation: authority.generation + 1n },
  ledger: { ...ledger, churnId },
});

/** One act per body, with all its decided endorsements. */
function distinctActs(decided: readonly Uint8Array[]): readonly Act[] {
  const byBody = new Map<string, Act>();
  // Sorted, so that of two endorsements by one elder every elder keeps the same.
  for (const bytes of [...decided].sort(compareBytes)) {
    const decoded = decodeAct(bytes);
    if (!decoded.ok) continue;
    const id = toHex(actId(decoded.value.body));
    const known = byBody.get(id) ?? decoded.value;
    byBody.set(id, withEndorsements(known, decoded.value.endorsements));
  }
  return [...byBody.values()];
}

/** Only joins, leaves and demotions count; a relocation by lottery triggers no other lottery. */
function turnoverOf(body: ActBody): readonly Turnover[] {
  switch (body.kind) {
    case 'join':
    case 'leave':
    case 'demote':
      return [{ age: ageOf(body.name) }];
    case 'vacancies':
    case 'handover':
    case 'sealedSet':
      return [];
    default:
      return assertNever(body);
  }
}

function applyAct(rules: SectionRules, state: SectionState, body: ActBody): Progress {
  switch (body.kind) {
    case 'join':
      return admitMember(rules, state, body);
    case 'leave':
      return {
        state: removeMember(state, body.name),
        effects: [{ kind: 'left', name: body.name }],
      };
    case 'demote': {
      const age = rules.demotedAge(ageOf(body.name));
      const demoted: Progress = { state, effects: [{ kind: 'demoted', name: body.name }] };
      return andThen(demoted, (now) => relocateNow(rules, now, body.name, age, 'demotion'));
    }
    case 'vacancies':
      return {
        state: withLedger(state, { vacancies: body.count }),
        effects: [{ kind: 'vacanciesSet', count: body.count }],
      };
    case 'handover':
      return chooseHandover(state, body);
    case 'sealedSet':
      return seal(state, body);
    default:
      return assertNever(body);
  }
}

/** N37, MEMBERSHIP-B16: the placement of its data is random, not set by the name it ground. */
function admitMember(rules: SectionRules, state: SectionState, join: JoinAct): Progress {
  const { authority, ledger } = state;
  const { name, sharingKey, certificate } = join;
  const placement = rules.placementOf(name, ledger.churnId);
  const member = { name, joined: authority.generation, placement, sharingKey };
  const members = [...authority.members, member].sort((a, b) => compareBytes(a.name, b.name));
  const admitted = { authority: { ...authority, members }, ledger };
  const change =
    certificate === null
      ? { vacancies: Math.max(0, ledger.vacancies - 1) }
      : { usedCertificates: rules.withUsedCertificate(ledger, authority.networkId, certificate) };
  return {
    state: withLedger(admitted, change),
    effects: [{ kind: 'joined', name, relocated: certificate !== null }],
  };
}

/** Chooses the handover: this generation is the key's last (N21). */
function chooseHandover(state: SectionState, { sessionId, ready }: HandoverAct): Progress {
  const session = findSession(state, sessionId);
  if (session === undefined) return { state, effects: [] };
  const charters = ready.map((keys, child) => charterFor(state, session, child, keys));
  const closing = withLedger(state, {
    sessions: [],
    phase: { kind: 'closing', sessionId, charters, lists: ready.map(({ list }) => list) },
  });
  return {
    state: dropExpiredRelocations(closing),
    effects: [{ kind: 'handoverChosen', sessionId }],
  };
}

function seal(state: SectionState, { snapshots, sealedRoot }: SealedSetAct): Progress {
  const { phase } = state.ledger;
  if (phase.kind !== 'closing') return { state, effects: [] };
  const held = snapshots.map(({ elder, root }) => ({ elder, root }));
  return {
    state: withLedger(state, {
      phase: { ...phase, kind: 'sealed', snapshots: held, sealedRoot },
    }),
    effects: [{ kind: 'sealed', sealedRoot }],
  };
}

const namesOf = ({ authority }: SectionState): readonly XorName[] =>
  authority.members.map(({ name }) => name);
