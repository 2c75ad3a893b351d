/**
 * Whoever speaks to us with older knowledge is told, page by page; whoever speaks with newer is asked
 * (N30, N31, N35). A peer is known by its connection, so no answer goes to somebody who did not ask;
 * what it may make us send is bounded by `told`: per round and state every page once.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { setNewest } from '#core/bounded.ts';
import type { NodeId } from '#core/machine.ts';
import { endOfPage, maxTold, pageFor } from '#protocol/anti-entropy/index.ts';
import {
  chainBetween,
  chainFor,
  encodeSealedState,
  encodeSuccessor,
  isKnownKey,
  signedAuthorityOf,
  type SealedState,
  type SectionProof,
} from '#protocol/section/index.ts';
import { flow, type Flow } from './flow.ts';
import { stamp, stampNewest } from './peers.ts';
import type { SectionNodeState } from './state.ts';

/** A message's header against what we know. */
export function compare(
  state: SectionNodeState,
  from: NodeId,
  key: Uint8Array,
  generation: bigint,
): Flow {
  const { own, tree } = state;
  if (own === null) return flow(state);
  const { authority } = own.state;
  if (equalBytes(authority.key, key)) {
    if (generation === authority.generation) return flow(state);
    return generation < authority.generation ? tell(state, from, key) : askOnce(state, from);
  }
  // A key that follows ours may be known by its link long before its state is.
  const isAhead = !isKnownKey(tree, key) || chainBetween(tree, authority.key, key) !== undefined;
  return isAhead ? askOnce(state, from) : tell(state, from, key);
}

/** A node outside is told only when the key it names is history: it asks to come in by any state. */
export function tellJoiner(state: SectionNodeState, from: NodeId, key: Uint8Array): Flow {
  const { own, tree } = state;
  if (own === null || equalBytes(own.state.authority.key, key)) return flow(state);
  return isKnownKey(tree, key) ? tell(state, from, key) : flow(state);
}

/** Asks by saying where we stand: whoever knows more answers with an update, or a page of the way. */
export const ask = (state: SectionNodeState, to: NodeId): Flow =>
  flow(noted(state, to, nothingMore), {
    kind: 'send',
    to: [to],
    message: stampNewest(state, to, { kind: 'ping', round: state.round }),
  });

/** The same, unless it was asked or told in this round: what we got may just not have arrived. */
export const askOnce = (state: SectionNodeState, to: NodeId): Flow =>
  state.told.has(to) ? flow(state) : ask(state, to);

/**
 * N31, N35: once per peer, state and round; again in the same round only when the peer has read the
 * page that it was told and asks on from its end.
 *
 * @param known the newest key the peer has
 */
export function tell(state: SectionNodeState, to: NodeId, known: Uint8Array): Flow {
  const { own } = state;
  const mayAskFor = state.told.get(to);
  if (own === null || (mayAskFor !== undefined && mayAskFor !== toHex(known))) return flow(state);
  const proof = proofFrom(state, own, known);
  const end = endOfPage(proof, own.state.authority.prefix.bits);
  const isPage = proof.authority === null && end !== undefined;
  const payload = isPage
    ? ({ kind: 'way', links: proof.links.map(encodeSuccessor) } as const)
    : ({ kind: 'update', sealed: encodeSealedState({ ...own, chain: proof.links }) } as const);
  return flow(noted(state, to, isPage ? toHex(end) : nothingMore), {
    kind: 'send',
    to: [to],
    message: stamp(state, payload),
  });
}

/** Of too many peers in one round the first are forgotten. */
function noted(state: SectionNodeState, to: NodeId, mayAskFor: string): SectionNodeState {
  const told = new Map(state.told);
  setNewest(told, to, mayAskFor, maxTold);
  return { ...state, told };
}

/** Told all that there is to say in this round. */
export const nothingMore = '';

/** N31: the page that follows a known key; from an unknown one the newest record only. */
function proofFrom({ tree }: SectionNodeState, own: SealedState, known: Uint8Array): SectionProof {
  const target = signedAuthorityOf(own);
  if (isKnownKey(tree, known)) return pageFor(tree, known, target);
  return { links: chainFor(tree, known, target.authority.key), authority: target };
}
