/**
 * From a decided set to the next state: what every elder computes alike and then seals (N8).
 *
 * Acts first, in canonical order; then key generations that became pointless are closed, lots are
 * drawn, those whose turn has come move out, and key generations that became necessary open.
 */
import { ageOf, type XorName } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import { compareBytes, toHex } from '#core/codec/bytes.ts';
import type { Turnover } from '#protocol/node-age/index.ts';
import { bindLedger, type SectionState } from '#protocol/section/index.ts';
import type { Act, ActBody, Handover, Join, SealedSet } from './acts.ts';
import { checkEndorsements, checkFit } from './checks.ts';
import { actId, decodeAct } from './codec.ts';
import { withEndorsements } from './endorsement.ts';
import { andThen, depart, withLedger, type Progress, type SectionEvent } from './progress.ts';
import { drawLots, letMove, startMove, withoutPast } from './relocation.ts';
import { sectionRules, type SectionRules } from './rules.ts';
import { findSession } from './sections.ts';
import { closeSessions, openSessions } from './sessions.ts';
import { charterFor } from './statements.ts';
import { firstRefusal, type ActFault } from './verdict.ts';

export interface DroppedAct {
  readonly act: Act;
  readonly fault: ActFault;
}

export interface Applied {
  /** To be sealed; generation one higher. */
  readonly state: SectionState;
  /** In the order of application. */
  readonly applied: readonly Act[];
  /** No longer fitted what was applied before them. */
  readonly dropped: readonly DroppedAct[];
  readonly events: readonly SectionEvent[];
}

/**
 * @param sealed the state that the decision builds on. @param decided acts whose proofs were
 *   checked before anybody voted for them; in any order, with doubles.
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
  let progress: Progress = { state: nextGeneration(sealed, churnId), events: [] };
  for (const act of rules.canonicalOrder(distinctActs(decided), churnId)) {
    const now = progress.state;
    const verdict = firstRefusal(
      () => checkEndorsements(rules, sealed, act),
      () => checkFit(rules, now, act.body),
    );
    if (!verdict.ok && rules.isDropped(verdict)) {
      dropped.push({ act, fault: verdict.error });
      continue;
    }
    applied.push(act);
    turnover.push(...turnoverOf(act.body));
    progress = andThen(progress, (state) => applyAct(rules, state, act.body));
  }
  const drawsLots = rules.drawsLots(namesOf(sealed), turnover);
  progress = andThen(progress, (state) => closeSessions(rules, state));
  if (drawsLots) progress = andThen(progress, (state) => drawLots(rules, state));
  progress = andThen(progress, (state) => letMove(rules, state));
  progress = andThen(progress, (state) => openSessions(rules, state));
  return { state: bindLedger(progress.state), events: progress.events, applied, dropped };
}

const nextGeneration = (
  { authority, ledger }: SectionState,
  churnId: Uint8Array,
): SectionState => ({
  authority: { ...authority, generation: authority.generation + 1n },
  ledger: { ...ledger, churnId },
});

/** One act for each body, with the endorsements of all that were decided. */
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

/** Only who comes and goes by decision counts; who is drawn does not draw others. */
function turnoverOf(body: ActBody): readonly Turnover[] {
  switch (body.kind) {
    case 'join':
    case 'leave':
    case 'demote':
      return [{ age: ageOf(body.name) }];
    case 'places':
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
      return admit(rules, state, body);
    case 'leave':
      return { state: depart(state, body.name), events: [{ kind: 'left', name: body.name }] };
    case 'demote': {
      const age = rules.demotedAge(ageOf(body.name));
      const moved = startMove(rules, state, body.name, age, 'demotion');
      return andThen({ state, events: [{ kind: 'demoted', name: body.name }] }, () => moved);
    }
    case 'places':
      return {
        state: withLedger(state, { places: body.count }),
        events: [{ kind: 'placesSet', count: body.count }],
      };
    case 'handover':
      return close(state, body);
    case 'sealedSet':
      return seal(state, body);
    default:
      return assertNever(body);
  }
}

/** N37: where its data lie is decided by chance, not by the name it ground. */
function admit(rules: SectionRules, state: SectionState, join: Join): Progress {
  const { authority, ledger } = state;
  const { name, sharingKey, ticket } = join;
  const placement = rules.placementOf(name, ledger.churnId);
  const member = { name, joined: authority.generation, placement, sharingKey };
  const members = [...authority.members, member].sort((a, b) => compareBytes(a.name, b.name));
  const admitted = { authority: { ...authority, members }, ledger };
  const change =
    ticket === null
      ? { places: Math.max(0, ledger.places - 1) }
      : { consumed: rules.consume(ledger, authority.networkId, ticket) };
  return {
    state: withLedger(admitted, change),
    events: [{ kind: 'joined', name, movedIn: ticket !== null }],
  };
}

/** The decision for a handover: this generation is the key's last (N21). */
function close(state: SectionState, { sessionId, ready }: Handover): Progress {
  const session = findSession(state, sessionId);
  if (session === undefined) return { state, events: [] };
  const charters = ready.map((keys, child) => charterFor(state, session, child, keys));
  const closing = withLedger(state, {
    sessions: [],
    phase: { kind: 'closing', sessionId, charters, lists: ready.map(({ list }) => list) },
  });
  return { state: withoutPast(closing), events: [{ kind: 'handoverChosen', sessionId }] };
}

function seal(state: SectionState, { snapshots, sealedRoot }: SealedSet): Progress {
  const { phase } = state.ledger;
  if (phase.kind !== 'closing') return { state, events: [] };
  const held = snapshots.map(({ elder, root }) => ({ elder, root }));
  return {
    state: withLedger(state, {
      phase: { ...phase, kind: 'sealed', snapshots: held, sealedRoot },
    }),
    events: [{ kind: 'sealed', sealedRoot }],
  };
}

const namesOf = ({ authority }: SectionState): readonly XorName[] =>
  authority.members.map(({ name }) => name);
