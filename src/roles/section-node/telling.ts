/** Whoever speaks to us with older knowledge is told; whoever speaks with newer is asked (N30, N35). */
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { chainFor, encodeSealedState, isKnownKey } from '#protocol/section/index.ts';
import { flow, type Flow } from './flow.ts';
import { stamp } from './peers.ts';
import type { SectionNodeState } from './state.ts';

/** A message's header against what we know. */
export function compare(
  state: SectionNodeState,
  from: NodeId,
  key: Uint8Array,
  generation: bigint,
): Flow {
  const { own } = state;
  if (own === null || state.told.has(from)) return flow(state);
  const { authority } = own.state;
  if (equalBytes(authority.key, key)) {
    if (generation === authority.generation) return flow(state);
    return generation < authority.generation ? tell(state, from, key) : askState(state, from);
  }
  return isKnownKey(state.tree, key) ? tell(state, from, key) : askState(state, from);
}

/** Asks by saying where we stand: whoever knows more answers with an update. */
export const askState = (state: SectionNodeState, to: NodeId): Flow =>
  flow(
    { ...state, told: new Set(state.told).add(to) },
    { kind: 'send', to: [to], message: stamp(state, { kind: 'ping', round: state.round }) },
  );

/** N35: once per peer, state and round. @param known the newest key the peer has. */
export function tell(state: SectionNodeState, to: NodeId, known: Uint8Array): Flow {
  const { own } = state;
  if (own === null || state.told.has(to)) return flow(state);
  const chain = chainFor(state.tree, known, own.state.authority.key);
  const sealed = encodeSealedState({ ...own, chain });
  return flow(
    { ...state, told: new Set(state.told).add(to) },
    { kind: 'send', to: [to], message: stamp(state, { kind: 'update', sealed }) },
  );
}
