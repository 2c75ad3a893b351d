/** Surplus copies: offered to the holders, dropped after all four proved that they store them. */
import { equalBytes, utf8 } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { extend } from '#core/step.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  challengeOf,
  confirmationBytes,
  isAtLeast,
  isSameRank,
  itemId,
  sameStateRef,
  scanInventory,
  withItems,
  withoutItem,
  type Item,
  type ItemId,
} from './items.ts';
import { restartSurplusScan, maxScannedItems } from './find-missing.ts';
import type { PossessionChallenge, ReplicationMessage } from './messages.ts';
import { copiesWanted } from './placement.ts';
import {
  coveringSection,
  holderTest,
  type ReplicationStep,
  type Handoff,
  type Replication,
  type ReplicationConfig,
  type ReplicationState,
} from './state.ts';
import { holdersFor, nameOfNode, requestProof, sendConfirmation } from './confirm-copies.ts';

/** Concurrent handoffs of surplus copies. */
const maxHandoffs = 64;
/** Challenges per message: 32 × 90 B. */
export const maxChallenges = 32;
/** A holder that has not confirmed is asked again after this many ticks. */
const confirmTicks = 3;
/** REPLICATION-R11: after this many requests a copy yields its slot to the next one, until the next scan. */
const maxConfirmRequests = 8;

/** Finds copies this node need not store, scanning a few thousand names per tick. */
export function findSurplus(
  config: ReplicationConfig,
  step: ReplicationStep,
  entropy: Uint8Array,
): ReplicationStep {
  const { state } = step;
  const { view, surplusAfter } = state;
  const room = maxHandoffs - state.handoffs.size;
  const stuck = [...state.handoffs].filter(([, { asks }]) => asks >= maxConfirmRequests);
  const most = room + stuck.length;
  if (view === null || surplusAfter === null || most <= 0) return step;
  const keeps = holderTest(config, state);
  const { items, next } = scanInventory(
    state.inventory.items,
    surplusAfter,
    maxScannedItems,
    most,
    // Keep names outside all known sections: no holder could confirm them (REPLICATION-R7).
    (item) =>
      coveringSection(view, item.name) !== undefined &&
      !keeps(item.name) &&
      !state.handoffs.has(itemId(item)),
  );
  const handoffs = new Map(state.handoffs);
  const yielded = stuck.slice(0, Math.max(0, items.length - room));
  for (const [id] of yielded) handoffs.delete(id);
  const again = state.surplusAgain || yielded.length > 0;
  const scanEnded = next === null;
  let offered = extend(step, {
    handoffs,
    surplusAfter: scanEnded && again ? '' : next,
    surplusAgain: !scanEnded && again,
  });
  for (const item of items) {
    const id = itemId(item);
    const nonce = labelledHash('safe/v1/replication-nonce', entropy, utf8(id));
    const entry: Handoff = {
      ...{ item, nonce, proof: null, confirmedBy: [] },
      ...{ askedAt: -confirmTicks, asks: 0 },
    };
    offered = requestProof(
      extend(offered, { handoffs: new Map(offered.state.handoffs).set(id, entry) }),
      { kind: 'handoff', id },
      item,
      challengeOf(config.networkId, config.self, nonce),
    );
  }
  return offered;
}

/** A newer version restarts the handoff: its challenge was for the old one. */
export function withStored(step: ReplicationStep, item: Item): ReplicationStep {
  const { inventory, handoffs } = step.state;
  const next = extend(step, {
    inventory: { ...inventory, items: withItems(inventory.items, [item]) },
  });
  const known = handoffs.get(itemId(item));
  if (known === undefined || isAtLeast(known.item, item)) return next;
  const left = new Map(handoffs);
  left.delete(itemId(item));
  return extend(next, { handoffs: left, ...restartSurplusScan(step.state) });
}

/** Challenges the holders that have not confirmed, many items per message. */
export function requestConfirmation(
  config: ReplicationConfig,
  step: ReplicationStep,
): ReplicationStep {
  const { state } = step;
  const { view, tick } = state;
  if (view === null) return step;
  const challenges = new Map<NodeId, PossessionChallenge[]>();
  const handoffs = new Map(state.handoffs);
  for (const [id, each] of state.handoffs) {
    if (each.proof === null || each.askedAt + confirmTicks > tick) continue;
    handoffs.set(id, { ...each, askedAt: tick, asks: each.asks + 1 });
    for (const holder of holdersFor(config, state, each.item.name)) {
      if (each.confirmedBy.includes(holder)) continue;
      const list = challenges.get(holder) ?? [];
      list.push({ item: each.item, nonce: each.nonce });
      challenges.set(holder, list);
    }
  }
  const sends = [...challenges].flatMap(([holder, list]) => challengeMessages(state, holder, list));
  return extend(step, { handoffs }, ...sends);
}

function challengeMessages(
  state: ReplicationState,
  holder: NodeId,
  list: readonly PossessionChallenge[],
): readonly Effect<Replication>[] {
  const { view } = state;
  const section = [view?.own, ...(view?.others ?? [])].find((each) => each?.members.has(holder));
  if (section === undefined) return [];
  const sends: Effect<Replication>[] = [];
  for (let at = 0; at < list.length; at += maxChallenges) {
    const challenges = list.slice(at, at + maxChallenges);
    const message = {
      kind: 'confirm',
      stateRef: section.stateRef,
      offered: true,
      challenges,
    } as const;
    sends.push({ kind: 'send', to: [holder], message });
  }
  return sends;
}

/** The shell's answer to one `prove`. */
export function onProof(
  config: ReplicationConfig,
  step: ReplicationStep,
  id: string,
  proof: Uint8Array | null,
): ReplicationStep {
  const asked = step.state.pendingProofs.get(id);
  if (asked === undefined) return step;
  const pendingProofs = new Map(step.state.pendingProofs);
  pendingProofs.delete(id);
  const next = extend(step, { pendingProofs });
  return asked.kind === 'handoff'
    ? onHandoffProof(next, asked.id, proof)
    : sendConfirmation(config, next, asked, proof);
}

function onHandoffProof(
  step: ReplicationStep,
  id: ItemId,
  proof: Uint8Array | null,
): ReplicationStep {
  const { state } = step;
  const known = state.handoffs.get(id);
  if (known === undefined) return step;
  if (proof !== null) {
    return extend(step, { handoffs: new Map(state.handoffs).set(id, { ...known, proof }) });
  }
  const handoffs = new Map(state.handoffs);
  handoffs.delete(id);
  const inventory = { ...state.inventory, items: withoutItem(state.inventory.items, id) };
  return extend(step, { handoffs, inventory });
}

/** N43: counts a holder's confirmation; after the fourth one the copy is dropped. */
export function onConfirmation(
  config: ReplicationConfig,
  step: ReplicationStep,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'confirmed' }>,
): ReplicationStep {
  const { state } = step;
  const { view } = state;
  const { item, nonce, proof, signature, stateRef } = message;
  const id = itemId(item);
  const known = state.handoffs.get(id);
  const section = view === null ? undefined : coveringSection(view, item.name);
  if (
    known === undefined ||
    known.proof === null ||
    section === undefined ||
    known.confirmedBy.includes(from)
  )
    return step;
  if (!equalBytes(known.nonce, nonce) || !sameStateRef(section.stateRef, stateRef)) return step;
  if (!holdersFor(config, state, item.name).includes(from)) return step;
  const challenge = challengeOf(config.networkId, config.self, nonce);
  const holder = nameOfNode(from);
  const bytes = confirmationBytes(config.networkId, stateRef, holder, item, challenge, proof);
  if (!config.identity.verify(holder, bytes, signature)) {
    return extend(step, {}, { kind: 'blame', fault: { kind: 'wrongSignature', culprit: from } });
  }
  // The holder has an older version and will fetch ours: the challenge was also an offer.
  if (!isAtLeast(item, known.item)) return step;
  // A newer record replaces ours; the same version must have the same bytes.
  if (isSameRank(item, known.item) && !equalBytes(proof, known.proof)) {
    // The holder may have stored a newer record between reading its disk and answering.
    if (item.kind === 'pointer') return step;
    const fault = { kind: 'wrongProof', culprit: from, item: known.item } as const;
    return extend(step, {}, { kind: 'blame', fault });
  }
  const confirmedBy = [...known.confirmedBy, from];
  const handoffs = new Map(state.handoffs);
  if (confirmedBy.length < copiesWanted) {
    return extend(step, { handoffs: handoffs.set(id, { ...known, confirmedBy }) });
  }
  handoffs.delete(id);
  const inventory = { ...state.inventory, items: withoutItem(state.inventory.items, id) };
  return extend(
    step,
    { handoffs, inventory },
    { kind: 'output', output: { kind: 'drop', item: known.item } },
  );
}
