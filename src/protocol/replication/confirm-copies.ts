/** A holder's side of a handoff: what it proves to hold, and which copies it accepts. */
import { assert } from '#core/assert.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { extend } from '#core/step.ts';
import {
  challengeOf,
  confirmationBytes,
  heldItem,
  isAtLeast,
  isSameRank,
  itemId,
  sameStateRef,
  sizeFits,
  withoutItem,
  type Item,
} from './items.ts';
import {
  maxMissingItems,
  maxStrikes,
  missingCountByPeer,
  noticeNewerState,
  remainingQuota,
  withHolder,
} from './find-missing.ts';
import type { ReplicationMessage } from './messages.ts';
import { holdersAmong } from './placement.ts';
import {
  coveringSection,
  fullMembersOf,
  holderTest,
  isKnown,
  selfId,
  type PendingProof,
  type ReplicationConfig,
  type ReplicationState,
  type ReplicationStep,
} from './state.ts';

/** Pending proofs for other nodes; further challenges get no answer. */
const maxPendingProofs = 128;
/** Pending proofs per peer, a full message of challenges, so that none can use up all. */
const maxProofsPerPeer = 32;

/**
 * REPLICATION-R6: a holder with the same sealed state confirms; a holder without the item accepts the offer.
 */
export function answerConfirm(
  config: ReplicationConfig,
  step: ReplicationStep,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'confirm' }>,
): ReplicationStep {
  const { view, inventory } = step.state;
  if (view === null || inventory.kind !== 'complete') return step;
  if (!isKnown(view, from)) {
    // N41: a relocated node offers its copies; we may lack the newest state of its section.
    const { offered } = message;
    return offered
      ? extend(step, {}, { kind: 'output', output: { kind: 'behind', peer: from } })
      : step;
  }
  const { stateRef } = view.own;
  const isSame = sameStateRef(stateRef, message.stateRef);
  const keeps = holderTest(config, step.state);
  let next = noticeNewerState(step, from, message.stateRef);
  for (const { item, nonce } of message.challenges) {
    const own = heldItem(inventory.items, itemId(item));
    const holder = isSame && keeps(item.name);
    if (holder && own !== undefined && isAtLeast(own, item)) {
      if (isProofRefused(next.state, from)) return next;
      const challenge = challengeOf(config.networkId, nameOfNode(from), nonce);
      next = requestProof(
        next,
        { kind: 'answer', to: from, item: own, nonce, challenge },
        own,
        challenge,
      );
      continue;
    }
    const answer = { kind: 'missing', stateRef, item, nonce, holder } as const;
    next = extend(next, {}, { kind: 'send', to: [from], message: answer });
    if (!holder || !message.offered) continue;
    // Disk-full reports stay in the section, so send one to an outside offerer.
    next = next.state.ownDiskFull.full
      ? sendDiskFull(next, from)
      : acceptOffer(next, from, from, item);
  }
  return next;
}

const sendDiskFull = (step: ReplicationStep, to: NodeId): ReplicationStep =>
  extend(
    step,
    {},
    { kind: 'send', to: [to], message: { kind: 'diskFull', ...step.state.ownDiskFull } },
  );

/** Adds the item however many copies are known: the offering node wants to drop its copy. */
function acceptOffer(
  step: ReplicationStep,
  by: NodeId,
  holder: NodeId,
  item: Item,
): ReplicationStep {
  const { missing, strikes, ownDiskFull } = step.state;
  const id = itemId(item);
  const distrusted = (strikes.get(holder) ?? 0) >= maxStrikes;
  if (distrusted || ownDiskFull.full || !sizeFits(item)) return step;
  const hasRoom =
    missing.size < maxMissingItems && remainingQuota(missingCountByPeer(missing), by) > 0;
  if (!hasRoom && !missing.has(id)) return step;
  return extend(step, {
    missing: new Map(missing).set(
      id,
      withHolder(missing.get(id), item, { by, holder, urgent: true }),
    ),
  });
}

/** Elders audit: challenges of other nodes must not use up their share. */
function isProofRefused({ pendingProofs, view }: ReplicationState, from: NodeId): boolean {
  const asked = [...pendingProofs.values()].flatMap((each) =>
    each.kind === 'answer' ? [each.to] : [],
  );
  if (asked.filter((id) => id === from).length >= maxProofsPerPeer) return true;
  const isElder = (id: NodeId): boolean => view?.own.elders.has(id) === true;
  return !isElder(from) && asked.filter((id) => !isElder(id)).length >= maxPendingProofs;
}

/** An elder reports a write that reached too few holders: fetch it from the others (N42). */
export function onRepair(
  config: ReplicationConfig,
  step: ReplicationStep,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'repair' }>,
): ReplicationStep {
  const { state } = step;
  const { view } = state;
  if (view === null || !view.own.elders.has(from)) return step;
  const keeps = holderTest(config, state);
  let next = step;
  for (const item of message.items) {
    const own = heldItem(state.inventory.items, itemId(item));
    if (!keeps(item.name) || (own !== undefined && isAtLeast(own, item))) continue;
    for (const holder of holdersFor(config, state, item.name)) {
      if (holder !== selfId(config)) next = acceptOffer(next, from, holder, item);
    }
  }
  return next;
}

export function requestProof(
  step: ReplicationStep,
  proving: PendingProof,
  item: Item,
  challenge: Uint8Array,
): ReplicationStep {
  const { state } = step;
  const id = String(state.idsUsed);
  return extend(
    step,
    { pendingProofs: new Map(state.pendingProofs).set(id, proving), idsUsed: state.idsUsed + 1 },
    { kind: 'output', output: { kind: 'prove', id, item, challenge } },
  );
}

export function sendConfirmation(
  config: ReplicationConfig,
  step: ReplicationStep,
  asked: Extract<PendingProof, { kind: 'answer' }>,
  proof: Uint8Array | null,
): ReplicationStep {
  const { state } = step;
  const { view } = state;
  const { item, nonce, challenge, to } = asked;
  if (proof === null) {
    const inventory = {
      ...state.inventory,
      items: withoutItem(state.inventory.items, itemId(item)),
    };
    return extend(step, { inventory, relistAt: Math.min(state.relistAt, state.tick + 1) });
  }
  // REPLICATION-R6 applies when the confirmation is sent: the view may have changed since the challenge.
  const own = heldItem(state.inventory.items, itemId(item));
  if (view === null || own === undefined || !isSameRank(own, item)) return step;
  if (!holderTest(config, state)(item.name)) return step;
  const { stateRef } = view.own;
  const bytes = confirmationBytes(config.networkId, stateRef, config.self, item, challenge, proof);
  const signature = config.identity.sign(config.identitySeed, bytes);
  const message = { kind: 'confirmed', stateRef, item, nonce, proof, signature } as const;
  return extend(step, {}, { kind: 'send', to: [to], message });
}

export const holdersFor = (
  config: ReplicationConfig,
  state: ReplicationState,
  name: Uint8Array,
): readonly NodeId[] => {
  const section = state.view === null ? undefined : coveringSection(state.view, name);
  return holdersAmong(section?.adults ?? [], name, fullMembersOf(config, state)).map(
    ({ id }) => id,
  );
};

/** A node id is the hex of a name; the transport delivers no other. */
export function nameOfNode(id: NodeId): Uint8Array {
  const bytes = fromHex(id);
  assert(bytes.ok && bytes.value.length === 32, 'a node id is the hex of a name');
  return bytes.value;
}
