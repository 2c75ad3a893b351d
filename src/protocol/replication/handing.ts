/** Surplus copies: offered to the holders, dropped when all four have proved that they have it. */
import { assert } from '#core/assert.ts';
import { equalBytes, fromHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  challengeOf,
  confirmationBytes,
  held,
  isAtLeast,
  isSameRank,
  itemId,
  sameStamp,
  sizeFits,
  walk,
  withItems,
  withoutItem,
  type Item,
  type ItemId,
} from './items.ts';
import {
  lookAgain,
  maxScannedItems,
  maxStrikes,
  maxWanted,
  noticeNewer,
  shareLeft,
  sharesOf,
  withHolder,
} from './listing.ts';
import type { Question, ReplicationMessage } from './messages.ts';
import { copiesWanted, holdersAmong } from './placement.ts';
import {
  and,
  covering,
  fullOf,
  isKnown,
  keeper,
  selfId,
  type Draft,
  type Handing,
  type Proving,
  type Replication,
  type ReplicationConfig,
  type ReplicationState,
} from './state.ts';

/** Surplus copies on their way out at the same time. */
const maxHanding = 64;
/** Questions in one message: 32 × 90 B. */
export const maxQuestions = 32;
/** Proofs under way on our disk for others: beyond that, questions go unanswered. */
const maxProofsAsked = 128;
/** Of these for one peer: its questions of one message, and nobody's place but its own. */
const maxProofsPerPeer = 32;
/** Who has not confirmed within so many ticks is asked again. */
const confirmTicks = 3;
/** Asked for so often in vain, a copy gives its place to the next surplus one, and comes again. */
const maxConfirmAsks = 8;

/** Looks for copies that are not ours to keep, a few thousand names per tick. */
export function findSurplus(config: ReplicationConfig, draft: Draft, entropy: Uint8Array): Draft {
  const { state } = draft;
  const { view, surplusAfter } = state;
  const room = maxHanding - state.handing.size;
  const stuck = [...state.handing].filter(([, { asks }]) => asks >= maxConfirmAsks);
  const most = room + stuck.length;
  if (view === null || surplusAfter === null || most <= 0) return draft;
  const keeps = keeper(config, state);
  const { items, next } = walk(
    state.stock.items,
    surplusAfter,
    maxScannedItems,
    most,
    // A name that no known section answers for stays: nobody could confirm it (R7).
    (item) =>
      covering(view, item.name) !== undefined &&
      !keeps(item.name) &&
      !state.handing.has(itemId(item)),
  );
  const handing = new Map(state.handing);
  const given = stuck.slice(0, Math.max(0, items.length - room));
  for (const [id] of given) handing.delete(id);
  const again = state.surplusAgain || given.length > 0;
  const isThrough = next === null;
  let drafted = and(draft, {
    handing,
    surplusAfter: isThrough && again ? '' : next,
    surplusAgain: !isThrough && again,
  });
  for (const item of items) {
    const id = itemId(item);
    const nonce = labelledHash('safe/v1/replication-nonce', entropy, utf8(id));
    const entry: Handing = {
      ...{ item, nonce, proof: null, confirmedBy: [] },
      ...{ askedAt: -confirmTicks, asks: 0 },
    };
    drafted = prove(
      and(drafted, { handing: new Map(drafted.state.handing).set(id, entry) }),
      { kind: 'handing', id },
      item,
      challengeOf(config.networkId, config.self, nonce),
    );
  }
  return drafted;
}

/** What is on its way out was asked about as it was before. */
export function withStored(draft: Draft, item: Item): Draft {
  const { stock, handing } = draft.state;
  const next = and(draft, { stock: { ...stock, items: withItems(stock.items, [item]) } });
  const known = handing.get(itemId(item));
  if (known === undefined || isAtLeast(known.item, item)) return next;
  const left = new Map(handing);
  left.delete(itemId(item));
  return and(next, { handing: left, ...lookAgain(draft.state) });
}

/** Asks the holders that have not confirmed yet, many questions in one message. */
export function askToConfirm(config: ReplicationConfig, draft: Draft): Draft {
  const { state } = draft;
  const { view, tick } = state;
  if (view === null) return draft;
  const questions = new Map<NodeId, Question[]>();
  const handing = new Map(state.handing);
  for (const [id, each] of state.handing) {
    if (each.proof === null || each.askedAt + confirmTicks > tick) continue;
    handing.set(id, { ...each, askedAt: tick, asks: each.asks + 1 });
    for (const holder of holdersFor(config, state, each.item.name)) {
      if (each.confirmedBy.includes(holder)) continue;
      const list = questions.get(holder) ?? [];
      list.push({ item: each.item, nonce: each.nonce });
      questions.set(holder, list);
    }
  }
  const sends = [...questions].flatMap(([holder, list]) => messagesTo(state, holder, list));
  return and(draft, { handing }, ...sends);
}

function messagesTo(
  state: ReplicationState,
  holder: NodeId,
  list: readonly Question[],
): readonly Effect<Replication>[] {
  const { view } = state;
  const section = [view?.own, ...(view?.others ?? [])].find((each) => each?.members.has(holder));
  if (section === undefined) return [];
  const sends: Effect<Replication>[] = [];
  for (let at = 0; at < list.length; at += maxQuestions) {
    const questions = list.slice(at, at + maxQuestions);
    const message = { kind: 'confirm', stamp: section.stamp, offered: true, questions } as const;
    sends.push({ kind: 'send', to: [holder], message });
  }
  return sends;
}

const holdersFor = (
  config: ReplicationConfig,
  state: ReplicationState,
  name: Uint8Array,
): readonly NodeId[] => {
  const section = state.view === null ? undefined : covering(state.view, name);
  return holdersAmong(section?.adults ?? [], name, fullOf(config, state)).map(({ id }) => id);
};

/** R6: only a holder by the same sealed state confirms; one that lacks it takes the offer. */
export function answerConfirm(
  config: ReplicationConfig,
  draft: Draft,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'confirm' }>,
): Draft {
  const { view, stock } = draft.state;
  if (view === null || stock.kind !== 'taken') return draft;
  if (!isKnown(view, from)) {
    // N41: whoever moved away offers what it took along, from a section whose news we may lack.
    const { offered } = message;
    return offered
      ? and(draft, {}, { kind: 'output', output: { kind: 'behind', peer: from } })
      : draft;
  }
  const { stamp } = view.own;
  const isSame = sameStamp(stamp, message.stamp);
  const keeps = keeper(config, draft.state);
  let next = noticeNewer(draft, from, message.stamp);
  for (const { item, nonce } of message.questions) {
    const own = held(stock.items, itemId(item));
    const holder = isSame && keeps(item.name);
    if (holder && own !== undefined && isAtLeast(own, item)) {
      if (isProofRefused(next.state, from)) return next;
      const challenge = challengeOf(config.networkId, bytesOf(from), nonce);
      next = prove(next, { kind: 'answer', to: from, item: own, nonce, challenge }, own, challenge);
      continue;
    }
    const answer = { kind: 'lacking', stamp, item, nonce, holder } as const;
    next = and(next, {}, { kind: 'send', to: [from], message: answer });
    if (!holder || !message.offered) continue;
    // Another section does not hear our reports: whoever waits for us is told why in vain.
    next = next.state.ownFullness.full ? sayFull(next, from) : takeOffer(next, from, from, item);
  }
  return next;
}

const sayFull = (draft: Draft, to: NodeId): Draft =>
  and(
    draft,
    {},
    { kind: 'send', to: [to], message: { kind: 'fullness', ...draft.state.ownFullness } },
  );

/** The item is wanted whoever else has it: its present keeper wants to be rid of it. */
function takeOffer(draft: Draft, by: NodeId, holder: NodeId, item: Item): Draft {
  const { wanted, strikes, ownFullness } = draft.state;
  const id = itemId(item);
  const distrusted = (strikes.get(holder) ?? 0) >= maxStrikes;
  if (distrusted || ownFullness.full || !sizeFits(item)) return draft;
  const hasRoom = wanted.size < maxWanted && shareLeft(sharesOf(wanted), by) > 0;
  if (!hasRoom && !wanted.has(id)) return draft;
  return and(draft, {
    wanted: new Map(wanted).set(id, withHolder(wanted.get(id), item, { by, holder, urgent: true })),
  });
}

/** Elders audit: the proofs of others take none of theirs. */
function isProofRefused({ proving, view }: ReplicationState, from: NodeId): boolean {
  const asked = [...proving.values()].flatMap((each) => (each.kind === 'answer' ? [each.to] : []));
  if (asked.filter((id) => id === from).length >= maxProofsPerPeer) return true;
  const isElder = (id: NodeId): boolean => view?.own.elders.has(id) === true;
  return !isElder(from) && asked.filter((id) => !isElder(id)).length >= maxProofsAsked;
}

/** An elder's word that a write reached too few: the other holders are asked (N42). */
export function takeRepair(
  config: ReplicationConfig,
  draft: Draft,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'repair' }>,
): Draft {
  const { state } = draft;
  const { view } = state;
  if (view === null || !view.own.elders.has(from)) return draft;
  const keeps = keeper(config, state);
  let next = draft;
  for (const item of message.items) {
    const own = held(state.stock.items, itemId(item));
    if (!keeps(item.name) || (own !== undefined && isAtLeast(own, item))) continue;
    for (const holder of holdersFor(config, state, item.name)) {
      if (holder !== selfId(config)) next = takeOffer(next, from, holder, item);
    }
  }
  return next;
}

function prove(draft: Draft, proving: Proving, item: Item, challenge: Uint8Array): Draft {
  const { state } = draft;
  const id = String(state.idsUsed);
  return and(
    draft,
    { proving: new Map(state.proving).set(id, proving), idsUsed: state.idsUsed + 1 },
    { kind: 'output', output: { kind: 'prove', id, item, challenge } },
  );
}

/** The shell's answer to one `prove`. */
export function proved(
  config: ReplicationConfig,
  draft: Draft,
  id: string,
  proof: Uint8Array | null,
): Draft {
  const asked = draft.state.proving.get(id);
  if (asked === undefined) return draft;
  const proving = new Map(draft.state.proving);
  proving.delete(id);
  const next = and(draft, { proving });
  return asked.kind === 'handing'
    ? readyToHand(next, asked.id, proof)
    : confirm(config, next, asked, proof);
}

function readyToHand(draft: Draft, id: ItemId, proof: Uint8Array | null): Draft {
  const { state } = draft;
  const known = state.handing.get(id);
  if (known === undefined) return draft;
  if (proof !== null) {
    return and(draft, { handing: new Map(state.handing).set(id, { ...known, proof }) });
  }
  const handing = new Map(state.handing);
  handing.delete(id);
  const stock = { ...state.stock, items: withoutItem(state.stock.items, id) };
  return and(draft, { handing, stock });
}

function confirm(
  config: ReplicationConfig,
  draft: Draft,
  asked: Extract<Proving, { kind: 'answer' }>,
  proof: Uint8Array | null,
): Draft {
  const { state } = draft;
  const { view } = state;
  const { item, nonce, challenge, to } = asked;
  if (proof === null) {
    const stock = { ...state.stock, items: withoutItem(state.stock.items, itemId(item)) };
    return and(draft, { stock, relistAt: Math.min(state.relistAt, state.tick + 1) });
  }
  // R6 holds when the word is given, not when it was asked for: the view may have moved on.
  const own = held(state.stock.items, itemId(item));
  if (view === null || own === undefined || !isSameRank(own, item)) return draft;
  if (!keeper(config, state)(item.name)) return draft;
  const { stamp } = view.own;
  const bytes = confirmationBytes(config.networkId, stamp, config.self, item, challenge, proof);
  const signature = config.identity.sign(config.identitySeed, bytes);
  const message = { kind: 'confirmed', stamp, item, nonce, proof, signature } as const;
  return and(draft, {}, { kind: 'send', to: [to], message });
}

/** N43: counts a holder's word; the fourth one lets the copy go. */
export function takeConfirmation(
  config: ReplicationConfig,
  draft: Draft,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'confirmed' }>,
): Draft {
  const { state } = draft;
  const { view } = state;
  const { item, nonce, proof, signature, stamp } = message;
  const id = itemId(item);
  const known = state.handing.get(id);
  const section = view === null ? undefined : covering(view, item.name);
  if (
    known === undefined ||
    known.proof === null ||
    section === undefined ||
    known.confirmedBy.includes(from)
  )
    return draft;
  if (!equalBytes(known.nonce, nonce) || !sameStamp(section.stamp, stamp)) return draft;
  if (!holdersFor(config, state, item.name).includes(from)) return draft;
  const challenge = challengeOf(config.networkId, config.self, nonce);
  const holder = bytesOf(from);
  const bytes = confirmationBytes(config.networkId, stamp, holder, item, challenge, proof);
  if (!config.identity.verify(holder, bytes, signature)) {
    return and(draft, {}, { kind: 'blame', fault: { kind: 'wrongSignature', culprit: from } });
  }
  // The holder is about to fetch ours: it took the question for an offer.
  if (!isAtLeast(item, known.item)) return draft;
  // A newer record replaces ours; of the same one only the same bytes count.
  if (isSameRank(item, known.item) && !equalBytes(proof, known.proof)) {
    // A newer record may have come under the holder's hands between disk and answer.
    if (item.kind === 'pointer') return draft;
    const fault = { kind: 'wrongProof', culprit: from, item: known.item } as const;
    return and(draft, {}, { kind: 'blame', fault });
  }
  const confirmedBy = [...known.confirmedBy, from];
  const handing = new Map(state.handing);
  if (confirmedBy.length < copiesWanted) {
    return and(draft, { handing: handing.set(id, { ...known, confirmedBy }) });
  }
  handing.delete(id);
  const stock = { ...state.stock, items: withoutItem(state.stock.items, id) };
  return and(
    draft,
    { handing, stock },
    { kind: 'output', output: { kind: 'drop', item: known.item } },
  );
}

/** A node id is the hex of the name; it came from the transport, which knows no other. */
function bytesOf(id: NodeId): Uint8Array {
  const bytes = fromHex(id);
  assert(bytes.ok && bytes.value.length === 32, 'a node id is the hex of a name');
  return bytes.value;
}
