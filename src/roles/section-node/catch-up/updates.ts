/**
 * A peer with older state is sent updates, page by page; one with newer state is asked (N30, N31, N35).
 * Connections are authenticated, so answers go only to the node that asked; `sentUpdates` bounds them to
 * each page once per round and state.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { setNewest } from '#core/bounded-collections.ts';
import type { NodeId } from '#core/machine.ts';
import { lastKeyOfPage, maxTrackedPeers, chainPageFor } from '#protocol/anti-entropy/index.ts';
import {
  chainBetween,
  chainForPeer,
  encodeSealedState,
  encodeSuccessor,
  isKnownKey,
  signedAuthorityOf,
  type SealedState,
  type SectionProof,
} from '#protocol/section/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { messageInSection, messageWithNewestKey } from '../recipients.ts';
import type { SectionNodeState } from '../state.ts';

/** Compares the key and generation in a message's header with ours. */
export function compareKnowledge(
  state: SectionNodeState,
  from: NodeId,
  key: Uint8Array,
  generation: bigint,
): NodeStep {
  const { own, tree } = state;
  if (own === null) return nodeStep(state);
  const { authority } = own.state;
  if (equalBytes(authority.key, key)) {
    if (generation === authority.generation) return nodeStep(state);
    return generation < authority.generation
      ? sendUpdate(state, from, key)
      : requestUpdateOnce(state, from);
  }
  // A successor of our key may be known by its link long before we hold its state.
  const isAhead = !isKnownKey(tree, key) || chainBetween(tree, authority.key, key) !== undefined;
  return isAhead ? requestUpdateOnce(state, from) : sendUpdate(state, from, key);
}

/** Sends an update to a joining node only if the key it names is superseded: a join request needs no newest state. */
export function updateJoiner(state: SectionNodeState, from: NodeId, key: Uint8Array): NodeStep {
  const { own, tree } = state;
  if (own === null || equalBytes(own.state.authority.key, key)) return nodeStep(state);
  return isKnownKey(tree, key) ? sendUpdate(state, from, key) : nodeStep(state);
}

/** Asks by a ping: a peer that knows more answers with an update or a chain segment. */
export const requestUpdate = (state: SectionNodeState, to: NodeId): NodeStep =>
  nodeStep(recordSent(state, to, nothingLeft), {
    kind: 'send',
    to: [to],
    message: messageWithNewestKey(state, to, { kind: 'ping', round: state.pingRound }),
  });

/** The same, unless this peer was asked or sent an update in this round: messages may be in flight. */
export const requestUpdateOnce = (state: SectionNodeState, to: NodeId): NodeStep =>
  state.sentUpdates.has(to) ? nodeStep(state) : requestUpdate(state, to);

/**
 * N31, N35: once per peer, state and round; again in the same round only when the peer requests the next
 * page, from the end of the last one.
 *
 * @param known the newest key the peer has
 */
export function sendUpdate(state: SectionNodeState, to: NodeId, known: Uint8Array): NodeStep {
  const { own } = state;
  const nextRequestKey = state.sentUpdates.get(to);
  if (own === null || (nextRequestKey !== undefined && nextRequestKey !== toHex(known)))
    return nodeStep(state);
  const proof = proofFrom(state, own, known);
  const end = lastKeyOfPage(proof, own.state.authority.prefix.bits);
  const isPage = proof.authority === null && end !== undefined;
  const payload = isPage
    ? ({ kind: 'chainSegment', links: proof.links.map(encodeSuccessor) } as const)
    : ({ kind: 'update', sealed: encodeSealedState({ ...own, chain: proof.links }) } as const);
  return nodeStep(recordSent(state, to, isPage ? toHex(end) : nothingLeft), {
    kind: 'send',
    to: [to],
    message: messageInSection(state, payload),
  });
}

/** Evicts the oldest entries above `maxTrackedPeers`. */
function recordSent(state: SectionNodeState, to: NodeId, nextRequestKey: string): SectionNodeState {
  const sentUpdates = new Map(state.sentUpdates);
  setNewest(sentUpdates, to, nextRequestKey, maxTrackedPeers);
  return { ...state, sentUpdates };
}

/** No further page to send in this round. */
export const nothingLeft = '';

/** N31: the page after a known key; for an unknown key only the newest record. */
function proofFrom({ tree }: SectionNodeState, own: SealedState, known: Uint8Array): SectionProof {
  const target = signedAuthorityOf(own);
  if (isKnownKey(tree, known)) return chainPageFor(tree, known, target);
  return { links: chainForPeer(tree, known, target.authority.key), authority: target };
}
