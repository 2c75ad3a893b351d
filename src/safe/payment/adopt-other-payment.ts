/**
 * PAYMENT-P8: decides when another transaction of our coins goes first, because it can still become final and
 * ours cannot. It is then adopted: its owner sends it, too, and ours no longer takes votes away from it.
 */
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import { paymentStep, type PaymentStep } from './payment-step.ts';
import { paymentSectionAt } from './request-plan.ts';
import type {
  Adoption,
  AdoptionVotes,
  OtherPayment,
  Payment,
  PaymentFact,
  PaymentState,
  SlotVotes,
} from './state.ts';

/** After this many rounds without progress, the person is informed and other payments may go first. */
export const patienceRounds = 2;
/** Ours is held back this long for a transaction that is ahead: longer than a device needs to send it. */
const roundsForOthers = 3;

/** The elders of one slot, by what they voted for. A faulty one may be in two of the counts. */
export interface VoteCount {
  readonly ours: number;
  readonly theirs: number;
  readonly notHeard: number;
}

/** May five elders still vote for it, if all that have not answered do? */
const isPossible = (votes: number, { notHeard }: VoteCount): boolean =>
  votes + notHeard >= SHARES_REQUIRED;

/**
 * @param common the counts of our slots that the other transaction spends
 * @param isOursPossible on all our slots
 * @param isTheirsLower its txid is the lower one: every device decides an equal count the same
 */
export function goesFirst(
  common: readonly VoteCount[],
  isOursPossible: boolean,
  isTheirsLower: boolean,
  isPatienceOver: boolean,
): boolean {
  if (!common.every((count) => isPossible(count.theirs, count))) return false;
  if (!isOursPossible) return true;
  const isAhead = ({ ours, theirs }: VoteCount): boolean =>
    theirs > ours || (theirs === ours && isTheirsLower);
  return isPatienceOver && common.every(isAhead);
}

/** Counts a verified vote. The first one counts: a second of the same elder is its fault. */
export function withVotes(
  state: PaymentState,
  index: number,
  elders: readonly NodeId[],
  other: OtherPayment,
): PaymentState {
  const txid = toHex(other.txid);
  const votes = new Map(state.votes[index]);
  for (const elder of elders) if (!votes.has(elder)) votes.set(elder, txid);
  return {
    ...state,
    votes: state.votes.map((each, i) => (i === index ? votes : each)),
    others: new Map(state.others).set(txid, other),
  };
}

/** Repeated after a start, because the shell may have stopped before it received them. */
export const repeatAdoptions = ({ adopted, others }: PaymentState): readonly Effect<Payment>[] =>
  [...adopted].flatMap((txid): readonly Effect<Payment>[] => {
    const other = others.get(txid);
    return other === undefined ? [] : [{ kind: 'output', output: { kind: 'adopt', other } }];
  });

/** Adopts, once each, the transactions that now go first. */
export function adoptOthers(state: PaymentState): PaymentStep {
  const parts = firstOthers(state).map((txid) => (now: PaymentState) => adoptOther(now, txid));
  return andThen(paymentStep(state), ...parts);
}

function adoptOther(state: PaymentState, txid: string): PaymentStep {
  const other = state.others.get(txid);
  if (other === undefined || state.adopted.has(txid)) return unchanged(state);
  const next: PaymentState = {
    ...state,
    adopted: new Set(state.adopted).add(txid),
    holdsBackUntil: state.round + roundsForOthers,
    reportedReason: 'adopted',
  };
  const adoption = { ...other, votes: votesFor(state, txid) };
  return paymentStep(
    next,
    { kind: 'persist', fact: { kind: 'adopted', adoption } },
    { kind: 'output', output: { kind: 'adopt', other } },
  );
}

/**
 * While it holds back, only elders that have voted otherwise are asked, because they learn how it ends. For
 * some rounds, should no device send the other transaction; without limit when ours cannot become final.
 */
export function holdsBack(state: PaymentState): boolean {
  if (state.adopted.size === 0) return false;
  if (state.round < state.holdsBackUntil) return true;
  return !isOursPossible(state) && firstOthers(state).length > 0;
}

export const hasVotedOtherwise = (state: PaymentState, index: number, elder: NodeId): boolean =>
  state.votes[index]?.has(elder) === true;

/** The state with the adoptions of earlier runs; votes of an ended epoch do not count. */
export function withAdoptions(state: PaymentState, facts: readonly PaymentFact[]): PaymentState {
  return facts.reduce<PaymentState>(
    (now, fact) => (fact.kind === 'adopted' ? withAdoption(now, fact.adoption) : now),
    state,
  );
}

function withAdoption(state: PaymentState, { txid, transaction, votes }: Adoption): PaymentState {
  const other = { txid, transaction };
  const id = toHex(txid);
  const known: PaymentState = {
    ...state,
    others: new Map(state.others).set(id, other),
    adopted: new Set(state.adopted).add(id),
    holdsBackUntil: patienceRounds,
  };
  return votes.reduce<PaymentState>((now, { index, epoch, elders }) => {
    const slot = now.plan.slots[index];
    const section = slot && paymentSectionAt(now.sections, slot.name);
    return section?.epoch === epoch ? withVotes(now, index, elders.map(toHex), other) : now;
  }, known);
}

/** A new section key: its elders have voted for nothing yet, and an adopted transaction is sent first. */
export const withoutVotes = (state: PaymentState): PaymentState => ({
  ...state,
  votes: state.plan.slots.map(() => new Map()),
  others: new Map([...state.others].filter(([txid]) => state.adopted.has(txid))),
  holdsBackUntil: state.adopted.size > 0 ? patienceRounds : 0,
});

/** Txids in hex, none of which spends a slot of a better one. */
function firstOthers(state: PaymentState): readonly string[] {
  if (state.phase.kind !== 'preparing') return [];
  const { plan, round } = state;
  const isPatienceOver = round >= patienceRounds;
  const ours = toHex(plan.txid);
  const oursPossible = isOursPossible(state);
  const candidates = [...state.others].flatMap(([txid, other]) => {
    const common = commonSlots(state, other);
    const counts = common.map((index) => countVotes(state, index, txid));
    const votes = counts.reduce((sum, { theirs }) => sum + theirs, 0);
    const isFirst = goesFirst(counts, oursPossible, txid < ours, isPatienceOver);
    return votes > 0 && isFirst ? [{ txid, common, votes }] : [];
  });
  const taken = new Set<number>();
  const chosen: string[] = [];
  candidates.sort((a, b) => b.votes - a.votes || (a.txid < b.txid ? -1 : 1));
  for (const { txid, common } of candidates) {
    if (common.some((index) => taken.has(index))) continue;
    for (const index of common) taken.add(index);
    chosen.push(txid);
  }
  return chosen;
}

const isOursPossible = (state: PaymentState): boolean =>
  state.plan.slots.every((_, index) => {
    const count = countVotes(state, index, '');
    return isPossible(count.ours, count);
  });

/** Indices of our slots that it spends, too. */
function commonSlots({ plan }: PaymentState, { transaction }: OtherPayment): readonly number[] {
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) return [];
  const { inputs } = decoded.value;
  return plan.slots.flatMap((slot, index) =>
    inputs.some(({ keyImage }) => equalBytes(keyImage, slot.keyImage)) ? [index] : [],
  );
}

function countVotes(state: PaymentState, index: number, txid: string): VoteCount {
  const { phase, plan, sections } = state;
  const votes: SlotVotes = state.votes[index] ?? new Map<NodeId, string>();
  const collection = phase.kind === 'preparing' ? phase.collections[index] : undefined;
  const slot = plan.slots[index];
  const elders = (slot && paymentSectionAt(sections, slot.name)?.elders) ?? [];
  const collector = collection?.collector ?? null;
  const shares = elders.filter(({ index: at }) => collector?.shares.has(at) === true);
  const wrong = elders.filter(({ index: at }) => collector?.rejected.has(at) === true);
  const theirs = [...votes.values()].filter((each) => each === txid).length;
  const heard = new Set([...votes.keys(), ...[...shares, ...wrong].map(({ name }) => toHex(name))]);
  // A certificate contains five votes: those of the other elders no longer matter.
  if (state.prepared[index] !== null) return { ours: SHARES_REQUIRED, theirs, notHeard: 0 };
  const notHeard = elders.filter(({ name }) => !heard.has(toHex(name))).length;
  return { ours: shares.length, theirs, notHeard };
}

function votesFor(state: PaymentState, txid: string): readonly AdoptionVotes[] {
  return state.plan.slots.flatMap(({ name }, index) => {
    const section = paymentSectionAt(state.sections, name);
    const elders = [...(state.votes[index] ?? [])].flatMap(([elder, voted]) => {
      const bytes = voted === txid ? fromHex(elder) : undefined;
      return bytes?.ok === true ? [bytes.value] : [];
    });
    return section === undefined || elders.length === 0
      ? []
      : [{ index, epoch: section.epoch, elders }];
  });
}
