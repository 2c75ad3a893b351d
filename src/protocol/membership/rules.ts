/**
 * What a section may decide and what follows from it, each rule a small function on sealed state,
 * all of them in one object: tests plant bugs by replacing one.
 */
import { child, matches, type Prefix } from '#address/prefix.ts';
import { ageOf, type XorName } from '#address/xor-name.ts';
import { compareBytes, equalBytes } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { verifyReady } from '#protocol/dkg/index.ts';
import {
  demotedAge,
  destinationOf,
  drawMovers,
  drawsLots,
  elderCandidates,
  JOIN_AGE,
  joinRank,
  rewardedAge,
} from '#protocol/node-age/index.ts';
import {
  type ConsumedTicket,
  type DkgSession,
  ELDER_COUNT,
  type Phase,
  SHARES_REQUIRED,
  type SectionLedger,
  type SectionState,
  placementOf,
  ticketId,
} from '#protocol/section/index.ts';
import type { Act, ActKind, Handover, Join, TicketProof } from './acts.ts';
import { actId } from './codec.ts';
import {
  adultsIn,
  isDrawn,
  isElder,
  isMember,
  lostElders,
  presentElders,
  sameNames,
  samePrefix,
} from './sections.ts';
import type { Verdict } from './verdict.ts';

/** Used tickets remembered, 40 B each. */
export const maxConsumed = 512;
/** Old names remembered, 32 B each. */
export const maxDeparted = 512;
/** Tickets that can still be signed, with those whose owners are still here. */
export const maxMoving = 64;
/** A key generation for each prefix under way, and one for the split (N25). */
export const maxSessions = 2;
/** A ticket is good until its source has handed over so often (N38). */
export const maxTicketSuccessors = 64;
/** Both halves of a split have this many: twice the elders. */
export const leastMembersOfHalf = 14;
/** Generations a key works before an older adult is reason to replace it (N25). */
const generationsBeforeReplacement = 8n;

/** What one key generation is to be for. */
export type SessionPlan = DkgSession['children'];

/** N7: how many elders must want it. Handover and sealed set prove themselves. */
function endorsementsNeeded(kind: ActKind): number {
  switch (kind) {
    case 'join':
    case 'places':
      return 3; // One more than may lie.
    case 'leave':
    case 'demote':
      return SHARES_REQUIRED;
    case 'handover':
    case 'sealedSet':
      return 0;
  }
}

/** N22: once the handover is decided, only the sealed set; after that nothing. */
function isDecidable(phase: Phase, kind: ActKind): boolean {
  switch (phase.kind) {
    case 'open':
      return kind !== 'sealedSet';
    case 'closing':
      return kind === 'sealedSet';
    case 'sealed':
      return false;
  }
}

/** N8: the order in which a decided set is applied, whatever order it came in. */
function canonicalOrder(acts: readonly Act[], churnId: Uint8Array): readonly Act[] {
  const ranked = acts.map((act) => ({ act, rank: rankOf(act, churnId) }));
  return ranked
    .sort((a, b) => phaseOrder(a.act) - phaseOrder(b.act) || compareBytes(a.rank, b.rank))
    .map(({ act }) => act);
}

/** N8: what no longer fits what was applied before it is left out. */
const isDropped = (verdict: Verdict): boolean => !verdict.ok;

const orderOfKinds: readonly ActKind[] = [
  'leave', // Makes sessions ineligible before a handover could choose them (N24).
  'demote',
  'join',
  'places', // Joiners of this generation had the places of the sealed state.
  'handover',
  'sealedSet',
];

/** Joiners with a ticket go before those that need a place. */
const phaseOrder = ({ body }: Act): number =>
  2 * orderOfKinds.indexOf(body.kind) + (body.kind === 'join' && body.ticket === null ? 1 : 0);

function rankOf({ body }: Act, churnId: Uint8Array): Uint8Array {
  // N39: by a chance that was drawn after the set was decided, so no name can be ground for it.
  if (body.kind === 'join' && body.ticket === null) return joinRank(body.name, churnId);
  if (body.kind === 'handover') return handoverRank(body, churnId);
  // Of two sealed sets the one with more snapshots.
  const fewer = body.kind === 'sealedSet' ? ELDER_COUNT - body.snapshots.length : 0;
  return Uint8Array.of(fewer, ...actId(body));
}

/** N26: a split goes first, then the lowest hash; of two keys of one session again the lowest. */
function handoverRank(body: Handover, churnId: Uint8Array): Uint8Array {
  const isSplit = body.ready.length === 2;
  return Uint8Array.of(
    isSplit ? 0 : 1,
    ...labelledHash('safe/v1/handover-choice', churnId, body.sessionId),
    ...labelledHash('safe/v1/handover-key-choice', churnId, actId(body)),
  );
}

/** A beginner's age, or what the ticket says; a ticket says nothing but the rule for its reason. */
function isAgeRight({ name, ticket }: Join): boolean {
  if (ticket === null) return ageOf(name) === JOIN_AGE;
  const { moving } = ticket;
  const before = ageOf(moving.name);
  const due = moving.reason === 'reward' ? rewardedAge(before) : demotedAge(before);
  return moving.age === due && ageOf(name) === moving.age;
}

/** N39: a joiner needs one of the agreed places; who moves in needs none. */
const hasPlace = ({ places }: SectionLedger, { ticket }: Join): boolean =>
  ticket !== null || places > 0;

/** N38: the ticket's destination is ours, so no other section can take the same ticket. */
const isDestination = (prefix: Prefix, { moving }: TicketProof): boolean =>
  matches(prefix, moving.destination);

/**
 * N38: a ticket works once. Forgetting is safe: a full list refuses every ticket as old as the
 * oldest it remembers, and whatever it forgot is older still.
 */
function isTicketUnused(
  { consumed }: SectionLedger,
  networkId: Uint8Array,
  { moving, sourceEpoch }: TicketProof,
): boolean {
  const id = ticketId(networkId, moving);
  if (consumed.some(({ ticket }) => equalBytes(ticket, id))) return false;
  return consumed.length < maxConsumed || sourceEpoch > lowestEpoch(consumed);
}

/** The ticket goes on the list; when it is full, the one of the oldest epoch goes off. */
function consume(
  { consumed }: SectionLedger,
  networkId: Uint8Array,
  { moving, sourceEpoch }: TicketProof,
): readonly ConsumedTicket[] {
  // Whoever is moving may get its ticket signed by one more key (README, B12).
  const used = { ticket: ticketId(networkId, moving), sourceEpoch: sourceEpoch + 1n };
  const all = [...consumed, used];
  if (all.length <= maxConsumed) return all;
  const oldest = all.findIndex((each) => each.sourceEpoch === lowestEpoch(all));
  return all.filter((_, at) => at !== oldest);
}

const lowestEpoch = (consumed: readonly ConsumedTicket[]): bigint =>
  consumed.reduce(
    (lowest, { sourceEpoch }) => (sourceEpoch < lowest ? sourceEpoch : lowest),
    consumed[0]?.sourceEpoch ?? 0n,
  );

/**
 * N29: seven members stay, so there always are seven to be elders; and five elders stay, so they
 * can decide. Others that are gone have to wait for the handover.
 */
function mayLose(state: SectionState, name: XorName): boolean {
  if (state.authority.members.length <= ELDER_COUNT) return false;
  if (!isElder(state, name)) return true;
  return lostElders(state).length < ELDER_COUNT - SHARES_REQUIRED;
}

/** N24: a session stays good exactly as long as all its candidates are members. */
const isEligible = (state: SectionState, session: DkgSession): boolean =>
  session.children.every(({ candidates }) => candidates.every((name) => isMember(state, name)));

/** N26: a proof for each child, so that a split is decided whole or not at all. */
const isComplete = (session: DkgSession, { ready }: Handover): boolean =>
  ready.length === session.children.length;

/** N20: a new key for each child; the key of now succeeds nobody. */
function areKeysNew({ authority }: SectionState, { ready }: Handover): boolean {
  const keys = [authority.key, ...ready.map(({ key }) => key)];
  return keys.every((key, at) => keys.findIndex((other) => equalBytes(other, key)) === at);
}

/**
 * N25: the key generations this section needs, the split first. Seven candidates or none: a
 * section never shrinks.
 */
function plansWanted(state: SectionState): readonly SessionPlan[] {
  const { prefix, elders } = state.authority;
  const plans = [splitPlan(state), replacementPlan(state)].filter((plan) => plan !== undefined);
  const current = elders.map(({ name }) => name);
  return plans.filter((plan) =>
    plan.every(
      (each) =>
        each.candidates.length === ELDER_COUNT &&
        !(samePrefix(each.prefix, prefix) && sameNames(each.candidates, current)),
    ),
  );
}

function splitPlan(state: SectionState): SessionPlan | undefined {
  const { prefix, members } = state.authority;
  if (prefix.bitCount >= 200) return undefined;
  const halves = [child(prefix, 0), child(prefix, 1)];
  const isDue = halves.every(
    (half) => members.filter(({ name }) => matches(half, name)).length >= leastMembersOfHalf,
  );
  return isDue ? halves.map((half) => planFor(state, half)) : undefined;
}

function replacementPlan(state: SectionState): SessionPlan | undefined {
  // A split replaces elders too; only a lost one is worth a second key generation beside it.
  const isWorthIt = isSettled(state) && hasOlderAdult(state) && splitPlan(state) === undefined;
  const isDue = lostElders(state).length > 0 || isWorthIt;
  return isDue ? [planFor(state, state.authority.prefix)] : undefined;
}

/** Who is about to move is no candidate, unless there are no others. */
function planFor(state: SectionState, prefix: Prefix): SessionPlan[number] {
  const { members } = state.authority;
  const staying = members.filter(({ name }) => !isDrawn(state, name));
  const chosen = elderCandidates(staying, presentElders(state), prefix);
  const candidates =
    chosen.length === ELDER_COUNT ? chosen : elderCandidates(members, presentElders(state), prefix);
  return { prefix, candidates };
}

const isSettled = ({ authority, ledger }: SectionState): boolean =>
  authority.generation >= ledger.activated + generationsBeforeReplacement;

function hasOlderAdult(state: SectionState): boolean {
  const youngest = Math.min(...state.authority.elders.map(({ name }) => ageOf(name)));
  return adultsIn(state).some(({ name }) => ageOf(name) > youngest && !isDrawn(state, name));
}

/** No move while a key generation or a handover is under way (N24). */
const mayMoveNow = ({ ledger }: SectionState): boolean =>
  ledger.phase.kind === 'open' && ledger.sessions.length === 0;

/** The rules as the network plays them. */
export const sectionRules = {
  endorsementsNeeded,
  isDecidable,
  canonicalOrder,
  isDropped,
  isAgeRight,
  hasPlace,
  isDestination,
  isTicketUnused,
  consume,
  mayLose,
  isEligible,
  isComplete,
  areKeysNew,
  verifyReady,
  plansWanted,
  mayMoveNow,
  drawsLots,
  drawMovers,
  destinationOf,
  rewardedAge,
  demotedAge,
  placementOf,
} as const;

export type SectionRules = typeof sectionRules;
